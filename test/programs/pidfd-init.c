/* A pidfd of init, which every boot has, though it is not frozen with this one. */
/* kmonte-shows: event/pidfd */
#include "kmonte-test.h"
#include <sys/syscall.h>

int main(void) {
  test_begin();
  int fd = syscall(SYS_pidfd_open, 1, 0);
  test_check(fd >= 0, "pidfd_open");
  test_ready_and_wait();
  char path[64], line[256] = "";
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  FILE *info = fopen(path, "r");
  test_check(info != NULL, "fdinfo");
  while (fgets(line, sizeof line, info) && strncmp(line, "Pid:", 4) != 0);
  test_check(atoi(line + 4) == 1, "it is of process %s", line + 4);
  test_check(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0, "init");
  test_pass();
}
