/* kmonte-shows: file/path-file */
/* The times of files that are mapped, shared and private: to be thawed is not to be read or written to. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE 4096

int main(void) {
  test_begin();
  int fd = open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0600);
  test_check(fd >= 0 && ftruncate(fd, 4 * PAGE) == 0, "file");
  char *shared = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  char *private = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  char *constant = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
  test_check(shared != MAP_FAILED && private != MAP_FAILED && constant != MAP_FAILED, "mmap");
  shared[0] = 1;
  private[PAGE] = 2;
  test_check(msync(shared, PAGE, MS_SYNC) == 0, "msync");
  /* Read long ago, before it was written to: the next reading would be noted. */
  struct timespec times[2] = {{1000, 5}, {2000, 7}};
  test_check(futimens(fd, times) == 0, "futimens");
  struct stat before, now;
  test_check(fstat(fd, &before) == 0, "fstat");
  test_ready_and_wait();
  test_check(fstat(fd, &now) == 0 && now.st_mtim.tv_sec == 2000 && now.st_mtim.tv_nsec == 7, "st_mtim");
  test_check(now.st_atim.tv_sec == 1000 && now.st_atim.tv_nsec == 5, "st_atim %ld", (long)now.st_atim.tv_sec);
  test_check(memcmp(&now.st_ctim, &before.st_ctim, sizeof now.st_ctim) == 0, "st_ctim");
  test_check(shared[0] == 1 && private[PAGE] == 2 && constant[0] == 1, "contents");
  unlink("mapped");
  test_pass();
}
