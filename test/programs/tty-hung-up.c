/* What is left of a terminal whose window was closed; a device node that was removed. */
/* kmonte-shows: tty/terminal file/device */
#include "kmonte-test.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

int main(void) {
  test_begin();
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  test_check(unlockpt(master) == 0, "unlock");
  int slave = open(ptsname(master), O_RDWR | O_NOCTTY), flags = fcntl(slave, F_GETFL);
  close(master);
  test_check(mknod("null", S_IFCHR | 0600, makedev(1, 3)) == 0, "mknod");
  int device = open("null", O_WRONLY);
  unlink("null");
  test_ready_and_wait();
  char c;
  struct pollfd file = {.fd = slave, .events = POLLIN};
  test_check(fcntl(slave, F_GETFL) == flags, "flags");
  test_check(poll(&file, 1, 0) == 1 && (file.revents & POLLHUP), "not hung up");
  test_check(read(slave, &c, 1) == 0 && write(slave, "x", 1) == -1 && errno == EIO, "not hung up");
  struct stat stat;
  test_check(fstat(device, &stat) == 0 && stat.st_rdev == makedev(1, 3) && stat.st_nlink == 0, "the device");
  test_check(write(device, "x", 1) == 1 && access("null", F_OK) == -1, "the device");
  test_pass();
}
