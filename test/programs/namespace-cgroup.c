/* kmonte-shows: cgroup/namespace */
/* A cgroup namespace whose root is a group of its own, with the hierarchy mounted in it and a group below. */
#include "mounts.h"

static char group[200];

static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY);
  test_check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0, "%s", path);
}

static void own(char *into) {
  FILE *file = fopen("/proc/self/cgroup", "r");
  test_check(file != NULL, "cgroup");
  for (char line[300]; fgets(line, sizeof line, file);) if (strncmp(line, "0::", 3) == 0) strcpy(into, line + 3);
  fclose(file);
}

int main(void) {
  test_begin();
  char self[12], path[300], before[300] = "", after[300] = "";
  snprintf(self, sizeof self, "%d", getpid());
  const char *root = access("/sys/fs/cgroup/unified", F_OK) == 0 ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";
  snprintf(group, sizeof group, "%s/kmonte-test-ns-%d", root, getpid());
  test_check(mkdir(group, 0755) == 0, "%s", group);
  snprintf(path, sizeof path, "%s/cgroup.procs", group);
  put(path, self);
  begin_mounts();
  test_check(unshare(CLONE_NEWCGROUP) == 0, "unshare");
  mount_at("cg", TOP, "cgroup2", 0, NULL);
  make_dir(TOP "/inner");
  put(TOP "/inner/cgroup.procs", self);
  int folder = open(TOP "/inner", O_RDONLY | O_DIRECTORY), file = open(TOP "/inner/cgroup.procs", O_RDONLY);
  own(before);
  test_check(strcmp(before, "/inner\n") == 0 && folder >= 0 && file >= 0, "in %s", before);
  test_ready_and_wait();
  own(after);
  test_check(strcmp(before, after) == 0, "was in %s, is in %s", before, after);
  char text[100] = "";
  test_check(read(file, text, 99) > 0 && atoi(text) == getpid(), "group holds %s", text);
  test_check(faccessat(folder, "cgroup.events", F_OK, 0) == 0, "folder");
  put(TOP "/cgroup.procs", self);
  test_check(rmdir(TOP "/inner") == 0, "inner");
  test_check(umount2(TOP, MNT_DETACH) == 0 && umount2(TOP, MNT_DETACH) == 0, "umount");
  snprintf(path, sizeof path, "%s/cgroup.procs", root);
  put(path, self);
  test_check(rmdir(group) == 0, "%s", group);
  test_pass();
}
