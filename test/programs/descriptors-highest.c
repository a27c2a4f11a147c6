/* kmonte-shows: file/regular */
/* A file under the highest number that there may be, and a gap below it. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/resource.h>

int main(void) {
  test_begin();
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  test_check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "RLIMIT_NOFILE");
  int highest = limit.rlim_max - 1, fd = open("highest", O_RDWR | O_CREAT | O_TRUNC, 0600);
  for (int i = 0; i < 3; i++) test_check(dup3(fd, highest - i, O_CLOEXEC) == highest - i, "dup3");
  close(fd);
  unlink("highest");
  test_ready_and_wait();
  for (int i = 0; i < 3; i++) test_check(fcntl(highest - i, F_GETFD) == FD_CLOEXEC, "descriptor %d", highest - i);
  test_check(fcntl(highest - 3, F_GETFD) == -1, "a descriptor too many");
  test_check(write(highest, "abc", 3) == 3 && lseek(highest - 2, 0, SEEK_CUR) == 3, "not the same file");
  test_pass();
}
