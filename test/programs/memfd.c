/* Memfds: contents, every seal, opened anew with its own position, run from. */
/* kmonte-shows: file/memfd */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

int main(void) {
  test_begin();
  int open_one = memfd_create("open one", MFD_ALLOW_SEALING), closed = memfd_create("closed", MFD_CLOEXEC);
  int sealed = memfd_create("sealed", MFD_ALLOW_SEALING), future = memfd_create("future", MFD_ALLOW_SEALING);
  test_check(ftruncate(open_one, 1 << 20) == 0 && pwrite(open_one, "end", 3, (1 << 20) - 3) == 3, "write");
  test_check(write(sealed, "sealed", 6) == 6, "write");
  test_check(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0, "seal");
  test_check(ftruncate(future, 4096) == 0, "size");
  char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, future, 0);
  test_check(fcntl(future, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0, "seal");
  strcpy(map, "mapped");
  fchmod(closed, 0600);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", open_one);
  int again = open(path, O_RDONLY);
  test_check(lseek(again, 100, SEEK_SET) == 100, "again");
  test_ready_and_wait();
  char buffer[100];
  test_check(pread(open_one, buffer, 10, (1 << 20) - 3) == 3 && memcmp(buffer, "end", 3) == 0, "contents");
  test_check(fcntl(open_one, F_GET_SEALS) == 0 && fcntl(closed, F_GET_SEALS) == F_SEAL_SEAL, "seals");
  test_check(fcntl(sealed, F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), "seals");
  test_check(fcntl(future, F_GET_SEALS) == F_SEAL_FUTURE_WRITE, "seals");
  test_check(pwrite(sealed, "x", 1, 0) == -1 && errno == EPERM && pread(sealed, buffer, 10, 0) == 6, "sealed");
  test_check(pread(future, buffer, 7, 0) == 7 && strcmp(buffer, "mapped") == 0, "mapped");
  strcpy(map, "again!");
  test_check(pread(future, buffer, 7, 0) == 7 && strcmp(buffer, "again!") == 0, "mapped");
  struct stat a, b;
  test_check(fstat(open_one, &a) == 0 && fstat(again, &b) == 0 && a.st_ino == b.st_ino && lseek(again, 0, SEEK_CUR) == 100, "again");
  test_check(fstat(closed, &a) == 0 && (a.st_mode & 0777) == 0600 && fcntl(closed, F_GETFD) == FD_CLOEXEC, "mode");
  char link[100] = "";
  snprintf(path, sizeof path, "/proc/self/fd/%d", open_one);
  test_check(readlink(path, link, 99) > 0 && strcmp(link, "/memfd:open one (deleted)") == 0, "%s", link);
  test_check((fcntl(again, F_GETFL) & O_ACCMODE) == O_RDONLY && write(again, "x", 1) == -1, "read-only");
  test_pass();
}
