/* kmonte-unshare: mnt */
/* kmonte-shows: mount/namespace */
/* Files without a name, open and mapped, on mounts that were made read-only afterwards. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int ghost(const char *folder, const char *text) {
  char path[40];
  mkdir(folder, 0700);
  test_check(mount("none", folder, "tmpfs", 0, "") == 0, "mount");
  snprintf(path, sizeof path, "%s/file", folder);
  int file = open(path, O_RDWR | O_CREAT, 0600);
  test_check(write(file, text, strlen(text)) > 0 && close(file) == 0, "write");
  file = open(path, O_RDONLY);
  test_check(file >= 0 && unlink(path) == 0, "unlink");
  return file;
}

int main(void) {
  test_begin();
  int one = ghost("one", "first"), two = ghost("two", "second");
  char *mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, two, 0), found[10] = "";
  close(two);
  test_check(mount("none", "one", "", MS_REMOUNT | MS_BIND | MS_RDONLY, "") == 0, "one");
  test_check(mount("none", "two", "", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV, "") == 0, "two");
  test_ready_and_wait();
  test_check(read(one, found, 9) == 5 && strcmp(found, "first") == 0, "first is %s", found);
  test_check(memcmp(mapped, "second", 6) == 0, "second");
  const char *paths[] = {"one/new", "two/new"};
  for (int i = 0; i < 2; i++) test_check(open(paths[i], O_RDWR | O_CREAT, 0600) < 0 && errno == EROFS, "%s", paths[i]);
  test_pass();
}
