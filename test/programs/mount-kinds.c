/* kmonte-shows: mount/file-system */
/* File systems of many kinds, one shown in two namespaces, one made of others, single files, all that a tmpfs can hold. */
#include "mounts.h"
#include <sys/sysmacros.h>
#include <sys/xattr.h>

int main(void) {
  test_begin();
  static char before[20000], after[20000];
  begin_mounts();
  static const char *const folders[] = {"/tmp", "/lower", "/upper", "/work", "/over", "/proc", "/sys", "/pts", "/mq", "/ram", "/again"};
  for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++) {
    char path[100];
    snprintf(path, sizeof path, TOP "%s", folders[i]);
    make_dir(path);
  }
  mount_at("proc", TOP "/proc", "proc", MS_NOSUID, "hidepid=2");
  mount_at("sysfs", TOP "/sys", "sysfs", MS_RDONLY, NULL);
  mount_at("devpts", TOP "/pts", "devpts", 0, "newinstance,mode=620,ptmxmode=666");
  mount_at("mqueue", TOP "/mq", "mqueue", 0, NULL);
  mount_at("ram", TOP "/ram", "ramfs", 0, NULL);
  write_file(TOP "/ram/file", "ram");
  write_file(TOP "/lower/kept", "lower"), write_file(TOP "/lower/changed", "lower");
  mount_at("overlay", TOP "/over", "overlay", 0, "lowerdir=" TOP "/lower,upperdir=" TOP "/upper,workdir=" TOP "/work");
  write_file(TOP "/over/changed", "upper");
  int over = open(TOP "/over/changed", O_RDWR);
  mount_at("tmp", TOP "/tmp", "tmpfs", MS_NOATIME, "size=10m,nr_inodes=1000,mode=1777");
  write_file(TOP "/tmp/file", "text");
  test_check(link(TOP "/tmp/file", TOP "/tmp/hard") == 0 && symlink("nowhere", TOP "/tmp/soft") == 0, "links");
  test_check(mkfifo(TOP "/tmp/fifo", 0600) == 0, "fifo");
  /* Not in a user namespace. */
  int node = mknod(TOP "/tmp/null", S_IFCHR | 0666, makedev(1, 3)) == 0;
  test_check(chown(TOP "/tmp/file", 7, 8) == 0 && chmod(TOP "/tmp/file", 04751) == 0, "owner");
  int sparse = open(TOP "/tmp/sparse", O_RDWR | O_CREAT, 0600);
  test_check(sparse >= 0 && pwrite(sparse, "end", 3, 1 << 30) == 3, "sparse");
  int attributes = setxattr(TOP "/tmp/file", "trusted.kmonte", "value", 5, 0) == 0;
  struct timespec times[2] = {{1000, 1}, {2000, 123456789}};
  test_check(utimensat(AT_FDCWD, TOP "/tmp/file", times, 0) == 0, "times");
  write_file(TOP "/one", "a file"), write_file(TOP "/on", "");
  mount_at(TOP "/one", TOP "/on", NULL, MS_BIND, NULL);
  mount_at(TOP "/tmp", TOP "/again", NULL, MS_BIND | MS_REC, NULL);
  int up[2], down[2];
  test_check(pipe(up) == 0 && pipe(down) == 0, "pipe");
  pid_t child = fork();
  if (child == 0) {
    char c;
    test_check(unshare(CLONE_NEWNS) == 0 && umount(TOP "/again") == 0, "unshare");
    int file = open(TOP "/tmp/child", O_RDWR | O_CREAT, 0600);
    test_check(file >= 0 && write(up[1], "r", 1) == 1 && read(down[0], &c, 1) == 1, "waiting");
    test_check(write(file, "by the child", 12) == 12 && access(TOP "/again/file", F_OK) < 0, "child");
    _exit(0);
  }
  char c;
  test_check(read(up[0], &c, 1) == 1, "waiting");
  mount_table(before, sizeof before);
  test_ready_and_wait();
  mount_table(after, sizeof after);
  test_check(strcmp(before, after) == 0, "mounts were\n%sand are\n%s", before, after);
  struct stat a, b;
  test_check(stat(TOP "/tmp/file", &a) == 0 && stat(TOP "/tmp/hard", &b) == 0 && a.st_ino == b.st_ino && a.st_nlink == 2, "hard link");
  test_check(a.st_uid == 7 && a.st_gid == 8 && (a.st_mode & 07777) == 04751, "%d %d %o", a.st_uid, a.st_gid, a.st_mode);
  test_check(a.st_mtim.tv_sec == 2000 && a.st_mtim.tv_nsec == 123456789, "time is %ld", a.st_mtim.tv_sec);
  test_check(stat(TOP "/tmp/sparse", &a) == 0 && a.st_size == (1 << 30) + 3 && a.st_blocks < 100, "sparse: %ld blocks", a.st_blocks);
  test_check(lstat(TOP "/tmp/fifo", &a) == 0 && S_ISFIFO(a.st_mode), "fifo");
  test_check(!node || (stat(TOP "/tmp/null", &a) == 0 && a.st_rdev == makedev(1, 3)), "node");
  char text[20] = "";
  test_check(!attributes || (getxattr(TOP "/tmp/file", "trusted.kmonte", text, 9) == 5 && strcmp(text, "value") == 0), "attribute %s", text);
  expect_file(TOP "/ram/file", "ram");
  expect_file(TOP "/over/kept", "lower");
  expect_file(TOP "/over/changed", "upper");
  expect_file(TOP "/lower/changed", "lower");
  expect_file(TOP "/on", "a file");
  test_check(pwrite(over, "UPPER", 5, 0) == 5, "overlay");
  expect_file(TOP "/upper/changed", "UPPER");
  int status;
  test_check(write(down[1], "g", 1) == 1 && waitpid(child, &status, 0) == child && status == 0, "child: %x", status);
  expect_file(TOP "/again/child", "by the child");
  test_pass();
}
