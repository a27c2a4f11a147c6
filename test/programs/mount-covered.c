/* kmonte-shows: mount/order */
/* Mounts on mounts: what is covered is there again when the cover is taken away, and files on it stay open. */
#include "mounts.h"

int main(void) {
  test_begin();
  static char before[20000], after[20000];
  begin_mounts();
  make_dir(TOP "/deep"), make_dir(TOP "/deep/inner"), make_dir(TOP "/twice"), make_dir(TOP "/root");
  write_file(TOP "/deep/file", "under the cover");
  /* Stands below a folder that is covered later. */
  mount_at("inner", TOP "/deep/inner", "tmpfs", 0, NULL);
  write_file(TOP "/deep/inner/file", "inner");
  mount_at("cover", TOP "/deep", "tmpfs", 0, NULL);
  write_file(TOP "/deep/file", "on the cover");
  /* Three on the same place. */
  mount_at("one", TOP "/twice", "tmpfs", 0, "size=1m");
  write_file(TOP "/twice/file", "one");
  mount_at("two", TOP "/twice", "tmpfs", MS_NOSUID, "size=2m");
  write_file(TOP "/twice/file", "two");
  mount_at("three", TOP "/twice", "tmpfs", MS_NOEXEC, "size=3m");
  write_file(TOP "/twice/file", "three");
  /* Part of a file system whose root is not to be seen any more. */
  mount_at("parts", TOP "/root", "tmpfs", 0, NULL);
  make_dir(TOP "/root/sub"), make_dir(TOP "/part"), make_dir(TOP "/root/sub/more");
  write_file(TOP "/root/sub/file", "part");
  mount_at(TOP "/root/sub", TOP "/part", NULL, MS_BIND, NULL);
  test_check(umount(TOP "/root") == 0, "umount");
  /* Read-only as a whole. */
  make_dir(TOP "/ro");
  mount_at("ro", TOP "/ro", "tmpfs", 0, NULL);
  write_file(TOP "/ro/file", "lasting");
  mount_at(NULL, TOP "/ro", NULL, MS_REMOUNT | MS_RDONLY, NULL);
  int fd = open(TOP "/twice/file", O_RDWR);
  test_check(fd >= 0, "open");
  mount_table(before, sizeof before);
  test_ready_and_wait();
  mount_table(after, sizeof after);
  test_check(strcmp(before, after) == 0, "mounts were\n%sand are\n%s", before, after);
  char text[10] = "";
  test_check(read(fd, text, 9) == 5 && strcmp(text, "three") == 0 && close(fd) == 0, "read %s", text);
  expect_file(TOP "/twice/file", "three");
  test_check(umount(TOP "/twice") == 0, "third");
  expect_file(TOP "/twice/file", "two");
  test_check(umount(TOP "/twice") == 0, "second");
  expect_file(TOP "/twice/file", "one");
  expect_file(TOP "/deep/file", "on the cover");
  test_check(umount(TOP "/deep") == 0, "cover");
  expect_file(TOP "/deep/file", "under the cover");
  expect_file(TOP "/deep/inner/file", "inner");
  expect_file(TOP "/part/file", "part");
  expect_file(TOP "/ro/file", "lasting");
  test_check(open(TOP "/ro/new", O_CREAT | O_WRONLY, 0600) < 0 && errno == EROFS, "written");
  test_pass();
}
