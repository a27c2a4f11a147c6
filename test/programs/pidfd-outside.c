/* kmonte-refuses: PIDFD_OUTSIDE
   A pidfd of a process that is not frozen with this one. */
/* kmonte-shows: event/pidfd */
#include "kmonte-test.h"
#include <sys/syscall.h>

int main(void) {
  test_begin();
  int fd = syscall(SYS_pidfd_open, getppid(), 0);
  test_check(fd >= 0, "pidfd_open");
  test_ready_and_wait();
  test_check(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0, "the parent");
  test_pass();
}
