/* Leases that someone has asked to give up and that are not given up yet; one of each sort. */
/* kmonte-shows: file/regular */
#include "kmonte-test.h"
#include <fcntl.h>

static int leased(const char *name, int flags, int type, int breaking) {
  close(open(name, O_CREAT | O_RDWR, 0600));
  int fd = open(name, flags);
  test_check(fd >= 0 && fcntl(fd, F_SETLEASE, type) == 0, "lease on %s", name);
  test_check(fcntl(fd, F_SETSIG, SIGRTMIN) == 0, "signal");
  if (breaking >= 0) test_check(open(name, breaking | O_NONBLOCK) == -1 && errno == EWOULDBLOCK, "breaking %s", name);
  return fd;
}

int main(void) {
  test_begin();
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGRTMIN), sigaddset(&mask, SIGIO);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  FILE *time = fopen("/proc/sys/fs/lease-break-time", "w");
  if (time) fprintf(time, "45"), fclose(time);
  int fds[] = {leased("a", O_RDONLY, F_RDLCK, O_WRONLY), leased("b", O_RDWR, F_WRLCK, O_WRONLY),
               leased("c", O_RDONLY, F_WRLCK, O_RDONLY), leased("d", O_RDONLY, F_RDLCK, -1), leased("e", O_WRONLY, F_WRLCK, -1)};
  struct timespec none = {0, 0};
  siginfo_t info;
  for (int i = 0; i < 3; i++) test_check(sigtimedwait(&mask, &info, &none) == SIGRTMIN, "told %d", i);
  int before[5];
  for (int i = 0; i < 5; i++) before[i] = fcntl(fds[i], F_GETLEASE);
  test_ready_and_wait();
  for (int i = 0; i < 5; i++) test_check(fcntl(fds[i], F_GETLEASE) == before[i], "%d: %d was %d", i, fcntl(fds[i], F_GETLEASE), before[i]);
  test_check(sigtimedwait(&mask, &info, &none) == -1, "a signal from nowhere");
  test_check(fcntl(fds[2], F_SETLEASE, F_RDLCK) == 0 && open("c", O_RDONLY | O_NONBLOCK) >= 0, "downgrade");
  test_check(open("d", O_WRONLY | O_NONBLOCK) == -1 && sigtimedwait(&mask, &info, &none) == SIGRTMIN && info.si_fd == fds[3], "d");
  test_check(open("a", O_WRONLY | O_NONBLOCK) == -1 && errno == EWOULDBLOCK && fcntl(fds[0], F_SETLEASE, F_UNLCK) == 0, "a");
  test_check(open("a", O_WRONLY | O_NONBLOCK) >= 0, "given up");
  test_pass();
}
