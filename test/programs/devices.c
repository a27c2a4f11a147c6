/* Devices that keep nothing. */
/* kmonte-shows: file/device */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

int main(void) {
  test_begin();
  const char *paths[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
  int files[5], flags[5];
  for (int i = 0; i < 5; i++) {
    files[i] = open(paths[i], i == 0 ? O_WRONLY | O_APPEND : O_RDWR | O_NONBLOCK);
    flags[i] = fcntl(files[i], F_GETFL);
    test_check(files[i] >= 0, "open %s", paths[i]);
  }
  test_ready_and_wait();
  char c = 'x';
  for (int i = 0; i < 5; i++) {
    struct stat stat;
    test_check(fcntl(files[i], F_GETFL) == flags[i], "flags of %s", paths[i]);
    test_check(fstat(files[i], &stat) == 0 && S_ISCHR(stat.st_mode) && major(stat.st_rdev) == 1, "%s", paths[i]);
  }
  test_check(write(files[0], &c, 1) == 1 && read(files[1], &c, 1) == 1 && c == 0, "null and zero");
  test_check(write(files[2], &c, 1) == -1 && errno == ENOSPC && read(files[4], &c, 1) == 1, "full and urandom");
  test_pass();
}
