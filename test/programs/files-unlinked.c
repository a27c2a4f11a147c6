/* Files without a name, hard-linked elsewhere, replaced, in a folder that is gone; O_TMPFILE; in memory. */
/* kmonte-shows: file/unlinked-file file/removed-directory */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

static int make(const char *name, const char *text) {
  int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0640);
  test_check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "make %s", name);
  return fd;
}

static void holds(int fd, const char *text) {
  char buffer[100] = "";
  test_check(pread(fd, buffer, 99, 0) == (ssize_t)strlen(text) && strcmp(buffer, text) == 0, "%s instead of %s", buffer, text);
}

int main(void) {
  test_begin();
  char memory[64], path[64];
  snprintf(memory, sizeof memory, "/dev/shm/kmonte-unlinked-%d", getpid());
  int gone = make("gone", "gone"), in_memory = make(memory, "memory"), replaced = make("replaced", "old");
  int readonly = open("gone", O_RDONLY);
  fchmod(gone, 0604);
  unlink("gone"), unlink(memory), unlink("replaced");
  int replacing = make("replaced", "new");
  int linked = make("linked", "linked");
  test_check(mkdir("links", 0700) == 0 && link("linked", "links/elsewhere") == 0 && unlink("linked") == 0, "link");
  test_check(mkdir("folder", 0700) == 0, "mkdir");
  int lost = make("folder/lost", "lost"), folder = open("folder", O_RDONLY | O_DIRECTORY);
  unlink("folder/lost"), rmdir("folder");
  int temporary = open(".", O_TMPFILE | O_RDWR, 0600);
  test_check(temporary >= 0 && write(temporary, "temporary", 9) == 9, "O_TMPFILE");
  int sparse = make("sparse", "");
  test_check(ftruncate(sparse, 10LL << 30) == 0 && pwrite(sparse, "x", 1, 5LL << 30) == 1, "sparse");
  unlink("sparse");
  char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, gone, 0);
  int flags = fcntl(temporary, F_GETFL);

  test_ready_and_wait();

  holds(gone, "gone"), holds(readonly, "gone"), holds(in_memory, "memory"), holds(replaced, "old");
  holds(replacing, "new"), holds(linked, "linked"), holds(lost, "lost"), holds(temporary, "temporary");
  test_check(write(readonly, "x", 1) == -1, "not read-only");
  map[0] = 'd';
  holds(readonly, "done");
  struct stat a, b;
  test_check(fstat(gone, &a) == 0 && a.st_nlink == 0 && (a.st_mode & 07777) == 0604, "mode %o", a.st_mode);
  test_check(stat("gone", &b) == -1 && stat("folder", &b) == -1 && stat(memory, &b) == -1, "a name is back");
  test_check(fstat(linked, &a) == 0 && stat("links/elsewhere", &b) == 0 && a.st_ino == b.st_ino, "the other name");
  test_check(fstat(folder, &a) == 0 && S_ISDIR(a.st_mode) && a.st_nlink == 0, "folder");
  test_check(openat(folder, "x", O_CREAT | O_RDWR, 0600) == -1 && errno == ENOENT, "the folder lives");
  test_check(fcntl(temporary, F_GETFL) == flags, "flags %o were %o", fcntl(temporary, F_GETFL), flags);
  snprintf(path, sizeof path, "/proc/self/fd/%d", temporary);
  test_check(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0, "naming it");
  char c = 0;
  test_check(fstat(sparse, &a) == 0 && a.st_size == 10LL << 30 && a.st_blocks < 1000, "%ld blocks", (long)a.st_blocks);
  test_check(pread(sparse, &c, 1, 5LL << 30) == 1 && c == 'x', "sparse");
  test_pass();
}
