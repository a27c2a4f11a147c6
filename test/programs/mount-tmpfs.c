/* kmonte-shows: mount/namespace, mount/file-system */
/* A tmpfs in all its shapes: read-only as a whole, parts of it shown alone, removed files shown, sockets left behind. */
#include "mounts.h"
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/un.h>

int main(void) {
  test_begin();
  begin_mounts();
  static char before[9000], after[9000];
  const char *folders[] = {"/ro", "/src", "/part", "/file", "/gone", "/room", "/owned"};
  for (int i = 0; i < 7; i++) {
    char path[100];
    snprintf(path, sizeof path, TOP "%s", folders[i]);
    make_dir(path);
  }
  /* Read-only for everybody. */
  mount_at("ro", TOP "/ro", "tmpfs", 0, "size=512k");
  write_file(TOP "/ro/file", "read only");
  mount_at(NULL, TOP "/ro", NULL, MS_REMOUNT | MS_RDONLY, NULL);
  /* Only a folder of it is left to see, and its root is not. */
  mount_at("src", TOP "/src", "tmpfs", 0, NULL);
  make_dir(TOP "/src/deep"), make_dir(TOP "/src/deep/er");
  write_file(TOP "/src/deep/er/file", "deep");
  mount_at(TOP "/src/deep", TOP "/part", NULL, MS_BIND, NULL);
  test_check(umount(TOP "/src") == 0, "umount");
  /* A socket that nobody listens at any more, and one that is in use. */
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  int left = socket(AF_UNIX, SOCK_STREAM, 0), used = socket(AF_UNIX, SOCK_STREAM, 0);
  strcpy(name.sun_path, TOP "/room/left");
  test_check(bind(left, (struct sockaddr *)&name, sizeof name) == 0 && close(left) == 0, "bind");
  strcpy(name.sun_path, TOP "/room/used");
  test_check(bind(used, (struct sockaddr *)&name, sizeof name) == 0 && listen(used, 3) == 0, "bind");
  mount_at("own", TOP "/owned", "tmpfs", MS_NOSUID | MS_NOEXEC, "size=64k,nr_inodes=50,mode=750,uid=11,gid=12");
  mount_table(before, sizeof before);
  test_ready_and_wait();
  mount_table(after, sizeof after);
  test_check(strcmp(before, after) == 0, "mounts were\n%sand are\n%s", before, after);
  expect_file(TOP "/ro/file", "read only");
  test_check(open(TOP "/ro/new", O_CREAT | O_WRONLY, 0600) < 0 && errno == EROFS, "it can be written to");
  expect_file(TOP "/part/er/file", "deep");
  struct stat about;
  test_check(lstat(TOP "/room/left", &about) == 0 && S_ISSOCK(about.st_mode), "the socket that was left");
  int client = socket(AF_UNIX, SOCK_STREAM, 0);
  test_check(connect(client, (struct sockaddr *)&name, sizeof name) == 0, "connect");
  strcpy(name.sun_path, TOP "/room/left");
  test_check(connect(client, (struct sockaddr *)&name, sizeof name) < 0, "somebody listens");
  test_check(stat(TOP "/owned", &about) == 0 && about.st_uid == 11 && about.st_gid == 12 && (about.st_mode & 07777) == 0750, "owner");
  struct statfs fs;
  test_check(statfs(TOP "/owned", &fs) == 0 && fs.f_blocks * fs.f_bsize == 65536 && fs.f_files == 50, "size");
  test_pass();
}
