/* kmonte-shows: mount/namespace, mount/file-system, mount/detached */
/* Mounts that were taken away while somebody stood in them or had files of them open (umount2(2), MNT_DETACH). */
#include "mounts.h"

int main(void) {
  test_begin();
  signal(SIGCHLD, SIG_DFL);
  begin_mounts();
  make_dir(TOP "/a"), make_dir(TOP "/b"), make_dir(TOP "/c");
  /* A file system in memory that nothing shows any more, but a folder and files of it are in use. */
  mount_at("gone", TOP "/a", "tmpfs", 0, "size=1m,mode=711");
  make_dir(TOP "/a/sub");
  write_file(TOP "/a/sub/file", "detached");
  write_file(TOP "/a/other", "never opened");
  int file = open(TOP "/a/sub/file", O_RDWR), top = open(TOP "/a", O_RDONLY | O_DIRECTORY);
  int unlinked = open(TOP "/a/unlinked", O_RDWR | O_CREAT, 0600);
  test_check(unlinked >= 0 && write(unlinked, "no name", 7) == 7 && unlink(TOP "/a/unlinked") == 0, "unlinked");
  test_check(file >= 0 && top >= 0 && chdir(TOP "/a/sub") == 0 && umount2(TOP "/a", MNT_DETACH) == 0, "detach");
  /* One of a file system that is still mounted elsewhere. */
  mount_at("kept", TOP "/b", "tmpfs", 0, NULL);
  write_file(TOP "/b/file", "kept");
  mount_at(TOP "/b", TOP "/c", NULL, MS_BIND, NULL);
  int second = open(TOP "/c/file", O_RDWR);
  test_check(second >= 0 && umount2(TOP "/c", MNT_DETACH) == 0, "detach");
  test_ready_and_wait();
  char text[100] = "";
  test_check(pread(file, text, 20, 0) == 8 && strcmp(text, "detached") == 0, "file: %s", text);
  expect_file("file", "detached");
  test_check(openat(top, "other", O_RDONLY) >= 0 && openat(top, "unlinked", O_RDONLY) < 0, "what is beside it");
  test_check(pread(unlinked, text, 20, 0) == 7, "unlinked");
  struct stat a, b;
  test_check(fstat(file, &a) == 0 && fstatat(top, "sub/file", &b, 0) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev, "same file");
  test_check(fstat(top, &a) == 0 && (a.st_mode & 07777) == 0711, "mode %o", a.st_mode);
  test_check(access(TOP "/a/sub", F_OK) < 0 && access(TOP "/c/file", F_OK) < 0, "they are mounted again");
  /* getcwd(2) of the kernel says so; glibc makes an error of it. */
  test_check(getcwd(text, sizeof text) == NULL, "cwd is %s", text);
  test_check(pwrite(second, "KEPT", 4, 0) == 4, "write");
  expect_file(TOP "/b/file", "KEPT");
  test_pass();
}
