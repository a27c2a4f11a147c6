/* kmonte-shows: mount/namespace volatile/carried-files */
/* kmonte-between: rm -rf /dev/shm/kmonte-boot-* */
/* kmonte-needs: root */
/* Mounts of a unit's sandbox, whose sources in memory are gone after a boot: folders, files, nodes, a private /tmp. */
#include "mounts.h"
#include <sys/sysmacros.h>

static char place[64];

static const char *at(const char *name) {
  static char paths[8][120];
  static int next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", place, name);
  return path;
}

int main(void) {
  test_begin();
  umask(0);
  snprintf(place, sizeof place, "/dev/shm/kmonte-boot-%d", getpid());
  make_dir(place), make_dir(at("propagate")), make_dir(at("tmp")), make_dir(at("tmp/below")), make_dir(at("point"));
  write_file(at("tmp/below/open"), "open");
  write_file(at("tmp/beside"), "beside");
  test_check(mknod(at("chr"), S_IFCHR, makedev(0, 0)) == 0 && mknod(at("reg"), S_IFREG, 0) == 0, "mknod");
  test_check(mknod(at("sock"), S_IFSOCK, 0) == 0 && mkfifo(at("fifo"), 0) == 0, "mknod");
  test_check(symlink("below/open", at("tmp/link")) == 0 && chmod(at("tmp"), 01777) == 0, "symlink");
  begin_mounts();
  make_dir(TOP "/propagate"), make_dir(TOP "/tmp");
  const char *files[] = {"chr", "reg", "sock", "fifo"};
  for (int i = 0; i < 4; i++) {
    char to[40];
    snprintf(to, sizeof to, TOP "/%s", files[i]);
    write_file(to, "");
    mount_at(at(files[i]), to, NULL, MS_BIND, NULL);
  }
  mount_at(at("propagate"), TOP "/propagate", NULL, MS_BIND, NULL);
  mount_at(at("tmp"), TOP "/tmp", NULL, MS_BIND, NULL);
  mount_at(NULL, TOP "/tmp", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, NULL);
  /* A mount of its own that stands on what the machine shows. */
  mount_at("own", at("point"), "tmpfs", 0, NULL);
  write_file(at("point/inside"), "inside");
  int fd = open(TOP "/tmp/below/open", O_RDWR);
  test_check(fd >= 0, "open");
  char before[4000] = "", after[4000] = "", text[8] = "";
  mount_table(before, sizeof before);
  test_ready_and_wait();
  mount_table(after, sizeof after);
  test_check(strcmp(before, after) == 0, "mounts were\n%sand are\n%s", before, after);
  test_check(pread(fd, text, 4, 0) == 4 && strcmp(text, "open") == 0 && pwrite(fd, "more", 4, 0) == 4, "the open file");
  expect_file(TOP "/tmp/below/open", "more");
  expect_file(TOP "/tmp/link", "more");
  expect_file(TOP "/tmp/beside", "beside");
  expect_file(at("point/inside"), "inside");
  struct stat seen;
  test_check(stat(TOP "/chr", &seen) == 0 && seen.st_mode == S_IFCHR && seen.st_rdev == 0, "chr");
  test_check(stat(TOP "/reg", &seen) == 0 && seen.st_mode == S_IFREG, "reg");
  test_check(stat(TOP "/sock", &seen) == 0 && seen.st_mode == S_IFSOCK, "sock");
  test_check(stat(TOP "/fifo", &seen) == 0 && seen.st_mode == S_IFIFO, "fifo");
  test_check(stat(TOP "/tmp", &seen) == 0 && seen.st_mode == (S_IFDIR | 01777), "tmp");
  test_check(umount(at("point")) == 0, "umount");
  char remove[100];
  snprintf(remove, sizeof remove, "rm -rf %s", place);
  test_check(umount2(TOP, MNT_DETACH) == 0 && system(remove) == 0, "rm");
  test_pass();
}
