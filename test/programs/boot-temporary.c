/* kmonte-shows: volatile/volatile-file volatile/carried-files */
/* kmonte-between: rm -r "$2"/kmonte-figures */
/* Files that a program shares with others in /tmp, as Java its figures: somebody tidies them away while it is frozen. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

int main(void) {
  test_begin();
  test_check(mkdir("kmonte-figures", 0750) == 0, "mkdir");
  int fd = open("kmonte-figures/1", O_RDWR | O_CREAT | O_EXCL, 0600);
  test_check(fd >= 0 && ftruncate(fd, 32768) == 0, "ftruncate");
  char *shared = mmap(NULL, 32768, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), text[6] = "";
  test_check(shared != MAP_FAILED && close(fd) == 0, "mmap");
  strcpy(shared + 30000, "hello");
  test_ready_and_wait();
  test_check(strcmp(shared + 30000, "hello") == 0, "the mapping");
  strcpy(shared + 30000, "again");
  struct stat seen;
  test_check(stat("kmonte-figures", &seen) == 0 && (seen.st_mode & 07777) == 0750, "the folder");
  fd = open("kmonte-figures/1", O_RDONLY);
  test_check(fd >= 0 && pread(fd, text, 5, 30000) == 5 && strcmp(text, "again") == 0, "the file holds %s", text);
  test_pass();
}
