/* Mappings of files: pages of one's own in a private one, shared writes, partly past the end, deleted, /dev/zero. */
/* kmonte-shows: file/path-file */
#include "memory-maps.h"
#include <setjmp.h>
#include <sys/stat.h>

static sigjmp_buf back;
static void on_fault(int signal) {
  (void)signal;
  siglongjmp(back, 1);
}

static int make(const char *name, size_t size) {
  int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
  test_check(fd >= 0, "open %s", name);
  static char page[4096];
  memset(page, name[0], sizeof page);
  for (size_t at = 0; at < size; at += sizeof page) test_check(write(fd, page, sizeof page) > 0, "write");
  test_check(ftruncate(fd, size) == 0, "size");
  return fd;
}

static char *map(int fd, size_t pages, int prot, int flags, off_t offset) {
  char *at = mmap(NULL, pages * 4096, prot, flags, fd, offset);
  test_check(at != MAP_FAILED, "mmap");
  return at;
}

int main(void) {
  test_begin();
  int a = make("a-file", 10 * 4096 + 100);
  char *private = map(a, 14, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0); /* three pages and a bit past the end */
  private[4096 * 2 + 5] = 'P';
  private[4096 * 10 + 3000] = 'Q'; /* past the end, within the last page */
  mprotect(private, 4096 * 3, PROT_READ);
  char *shared = map(a, 10, PROT_READ | PROT_WRITE, MAP_SHARED, 4096);
  char *watcher = map(a, 2, PROT_READ, MAP_SHARED, 0);
  char *offset = map(a, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE, 4096 * 5);
  *offset = 'O';
  int read_only = open("a-file", O_RDONLY);
  char *cannot_write = map(read_only, 2, PROT_READ, MAP_SHARED, 0);
  int b = make("b-file", 3 * 4096);
  char *deleted_shared = map(b, 3, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
  char *deleted_private = map(b, 3, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
  deleted_private[0] = 'D';
  unlink("b-file");
  close(b); /* only the mappings know it */
  int c = make("c-file", 4096 * 2);
  char *cut = map(c, 2, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
  cut[0] = 'C';
  test_check(ftruncate(c, 100) == 0, "cut"); /* the kernel takes the second page away */
  int zero = open("/dev/zero", O_RDWR);
  char *zeros = map(zero, 4, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
  zeros[4096] = 'Z';
  char *shared_zeros = map(zero, 4, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
  shared_zeros[4096] = 'Y';
  int hole = make("h-file", 0);
  test_check(ftruncate(hole, 1l << 34) == 0, "hole");
  char *far = map(hole, 4, PROT_READ | PROT_WRITE, MAP_SHARED, (1l << 34) - 4 * 4096);
  far[1] = 'F';
  maps_remember();
  test_ready_and_wait();
  maps_check();
  signal(SIGBUS, on_fault);
  signal(SIGSEGV, on_fault);
  test_check(private[0] == 'a' && private[4096 * 2 + 5] == 'P' && private[4096 * 9] == 'a', "private");
  test_check(private[4096 * 10 + 3000] == 'Q', "past the end");
  char now = 'N';
  test_check(pwrite(a, &now, 1, 4096 * 8) == 1 && private[4096 * 8] == 'N', "an own page where there was none");
  shared[3] = 'S';
  test_check(watcher[4096 + 3] == 'S', "shared mappings part");
  test_check(*offset == 'O' && offset[1] == 'a', "offset");
  test_check(mprotect(cannot_write, 4096, PROT_READ | PROT_WRITE) != 0, "a read-only file can be written to");
  test_check(mprotect(watcher, 4096, PROT_READ | PROT_WRITE) == 0, "a writable file cannot be written to");
  test_check(deleted_shared[0] == 'b' && deleted_private[0] == 'D' && deleted_private[4096] == 'b', "deleted");
  deleted_shared[4096 * 2] = 'X';
  test_check(deleted_private[4096 * 2] == 'X', "two mappings of one deleted file part");
  test_check(cut[0] == 'C' && cut[200] == 'c', "own page of a file that shrank");
  test_check(zeros[4096] == 'Z' && zeros[0] == 0 && shared_zeros[4096] == 'Y', "/dev/zero");
  test_check(far[1] == 'F' && far[4096] == 0, "far in a sparse file");
  if (sigsetjmp(back, 1) == 0) {
    char seen = *(volatile char *)(private + 4096 * 12);
    test_fail("past the end stands %d", seen);
  }
  struct stat info;
  test_check(fstat(hole, &info) == 0 && info.st_blocks < 1000, "the hole was filled: %ld blocks", (long)info.st_blocks);
  test_pass();
}
