/* Pidfds of oneself, of a living child, of a zombie, and of a child that is long gone. */
/* kmonte-shows: event/pidfd */
#include "kmonte-test.h"
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int opened(pid_t pid) {
  int fd = syscall(SYS_pidfd_open, pid, 0);
  test_check(fd >= 0, "pidfd_open");
  return fd;
}

static int ended(int fd) {
  struct pollfd file = {.fd = fd, .events = POLLIN};
  return poll(&file, 1, 0) == 1;
}

static pid_t child(void) {
  pid_t pid = fork();
  if (pid == 0) for (;;) pause();
  return pid;
}

int main(void) {
  test_begin();
  pid_t living = child(), zombie = child(), gone = child();
  int self = opened(getpid()), a = opened(living), b = opened(zombie), c = opened(gone);
  signal(SIGTERM, test_on_term);
  kill(zombie, SIGKILL);
  kill(gone, SIGKILL);
  test_check(waitpid(gone, NULL, 0) == gone, "wait");
  siginfo_t info;
  test_check(waitid(P_PID, zombie, &info, WEXITED | WNOWAIT) == 0, "zombie");
  test_ready_and_wait();
  test_check(!ended(self) && !ended(a) && ended(b) && ended(c), "%d %d %d %d", ended(self), ended(a), ended(b), ended(c));
  test_check(syscall(SYS_pidfd_send_signal, self, 0, NULL, 0) == 0, "self");
  test_check(syscall(SYS_pidfd_send_signal, c, 0, NULL, 0) == -1 && errno == ESRCH, "gone");
  test_check(syscall(SYS_pidfd_send_signal, a, SIGKILL, NULL, 0) == 0, "signal");
  test_check(waitid(P_PIDFD, a, &info, WEXITED) == 0 && info.si_pid == living && info.si_status == SIGKILL, "child");
  test_check(waitid(P_PIDFD, b, &info, WEXITED) == 0 && info.si_pid == zombie, "zombie");
  test_pass();
}
