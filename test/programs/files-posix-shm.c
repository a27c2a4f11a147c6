/* kmonte-shows: file/unlinked-file */
/* Shared memory of POSIX (shm_open(3)): named, without a name, and with a mapping alone; an empty memfd of huge pages. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/mman.h>

static char *map(int file, size_t size) {
  char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  test_check(file >= 0 && memory != MAP_FAILED, "mmap");
  return memory;
}

static int make(const char *name, size_t size) {
  int file = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
  test_check(file >= 0 && ftruncate(file, size) == 0, "shm_open %s", name);
  return file;
}

int main(void) {
  test_begin();
  char named[40], gone[40], text[6] = "";
  snprintf(named, sizeof named, "/kmonte-named-%d", getpid());
  snprintf(gone, sizeof gone, "/kmonte-gone-%d", getpid());
  int nameless = make(gone, 10000), file = make(named, 5000);
  char *first = map(nameless, 10000), *second = map(file, 5000);
  strcpy(first, "gone"), strcpy(second, "named");
  test_check(shm_unlink(gone) == 0 && close(file) == 0, "shm_unlink");
  int again = shm_open(named, O_RDONLY, 0), huge = memfd_create("huge", MFD_HUGETLB);
  test_ready_and_wait();
  test_check(strcmp(first, "gone") == 0 && strcmp(second, "named") == 0, "contents");
  strcpy(first, "anew");
  test_check(pread(nameless, text, 5, 0) == 5 && strcmp(text, "anew") == 0, "%s through the descriptor", text);
  test_check(pread(again, text, 5, 0) == 5 && memcmp(text, "named", 5) == 0, "%s under the name", text);
  test_check(huge < 0 || lseek(huge, 0, SEEK_END) == 0, "huge");
  test_check(shm_unlink(named) == 0, "shm_unlink");
  test_pass();
}
