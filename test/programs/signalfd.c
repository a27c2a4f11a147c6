/* A signalfd keeps its set, and reads a signal that was pending when it was frozen. */
/* kmonte-shows: event/signalfd */
#include "kmonte-test.h"
#include <sys/signalfd.h>

int main(void) {
  test_begin();
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR1);
  sigaddset(&mask, SIGRTMAX);
  sigset_t blocked = mask;
  sigaddset(&blocked, SIGUSR2);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  int fd = signalfd(-1, &mask, SFD_NONBLOCK);
  union sigval value = {.sival_int = 4711};
  test_check(sigqueue(getpid(), SIGRTMAX, value) == 0, "queue");
  test_check(kill(getpid(), SIGUSR2) == 0, "kill");
  test_ready_and_wait();
  struct signalfd_siginfo info;
  test_check(read(fd, &info, sizeof info) == sizeof info, "read");
  test_check(info.ssi_signo == (unsigned)SIGRTMAX && info.ssi_int == 4711 && info.ssi_pid == (unsigned)getpid(), "signal %u", info.ssi_signo);
  test_check(read(fd, &info, sizeof info) == -1 && errno == EAGAIN, "a signal that is not in the set");
  test_check(kill(getpid(), SIGUSR1) == 0 && read(fd, &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR1, "SIGUSR1");
  test_pass();
}
