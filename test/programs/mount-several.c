/* kmonte-shows: mount/namespace file/path-file */
/* kmonte-needs: root */
/* Two mount namespaces: files that one holds through the other's mounts, and bind mounts that are peers in both. */
#include "mounts.h"

static int mount_of(int fd) {
  char path[40], line[100];
  int id = -1;
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  FILE *file = fopen(path, "r");
  while (fgets(line, sizeof line, file)) sscanf(line, "mnt_id: %d", &id);
  fclose(file);
  return id;
}

static int shown(const char *point) {
  char line[1000], end[80];
  int found = 0;
  snprintf(end, sizeof end, " %s ", point);
  FILE *file = fopen("/proc/self/mountinfo", "r");
  while (fgets(line, sizeof line, file)) found += strstr(line, end) != NULL;
  fclose(file);
  return found;
}

static void tell(int fd) {
  test_check(write(fd, "x", 1) == 1, "pipe");
}

static void hear(int fd) {
  char byte;
  test_check(read(fd, &byte, 1) == 1, "pipe");
}

int main(void) {
  test_begin();
  begin_mounts();
  /* Nothing that happens in this one reaches the other namespace. */
  make_dir(TOP "/alone");
  mount_at("alone", TOP "/alone", "tmpfs", 0, NULL);
  make_dir(TOP "/alone/parents"), make_dir(TOP "/test"), make_dir(TOP "/bind"), make_dir(TOP "/test/sub");
  mount_at("parents", TOP "/alone/parents", "tmpfs", 0, NULL);
  mount_at("none", "/", NULL, MS_SHARED, NULL);
  mount_at("none", TOP, NULL, MS_SHARED, NULL);
  int inherited = open(TOP "/alone/parents/file", O_RDWR | O_CREAT, 0600), up[2], down[2], status;
  test_check(inherited >= 0 && pipe(up) == 0 && pipe(down) == 0, "open");
  pid_t child = fork();
  if (child == 0) {
    signal(SIGTERM, SIG_IGN);
    test_check(unshare(CLONE_NEWNS) == 0, "unshare");
    int own = open(TOP "/alone/parents/file", O_RDWR);
    test_check(mount_of(own) != mount_of(inherited), "two mounts");
    mount_at(TOP "/test", TOP "/bind", NULL, MS_BIND, NULL);
    tell(up[1]), hear(down[0]);
    /* Frozen and thawed in between. */
    test_check(mount_of(own) != mount_of(inherited), "the inherited file is on the mount of its own");
    test_check(close(own) == 0 && umount(TOP "/alone/parents") == 0, "umount parents");
    test_check(umount(TOP "/test/sub") == 0, "umount sub");
    tell(up[1]), hear(down[0]);
    _exit(0);
  }
  close(inherited), hear(up[0]);
  mount_at("sub", TOP "/test/sub", "tmpfs", 0, NULL);
  test_check(shown(TOP "/bind/sub") == 1 && shown(TOP "/bind") == 1, "propagation");
  test_ready_and_wait();
  test_check(shown(TOP "/bind/sub") == 1 && shown(TOP "/test/sub") == 1, "sub");
  tell(down[1]), hear(up[0]);
  test_check(shown(TOP "/bind/sub") == 0 && shown(TOP "/test/sub") == 0, "sub went everywhere");
  test_check(umount(TOP "/bind") == 0, "umount bind");
  tell(down[1]);
  test_check(waitpid(child, &status, 0) == child && status == 0, "child %x", status);
  test_check(umount2(TOP, MNT_DETACH) == 0, "umount");
  test_pass();
}
