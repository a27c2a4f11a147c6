/* kmonte-container: root */
/* kmonte-shows: cgroup/membership, cgroup/tree */
/* A hierarchy of groups with a name and no controllers, mounted in the container alone, as systemd keeps one. */
#include "mounts.h"
#include <time.h>

static void groups(char *into, size_t size) {
  int fd = open("/proc/self/cgroup", O_RDONLY);
  ssize_t got = read(fd, into, size - 1);
  test_check(fd >= 0 && got > 0 && close(fd) == 0, "groups");
  into[got] = 0;
}

int main(void) {
  test_begin();
  char line[100], here[100], before[4000], after[4000];
  snprintf(line, sizeof line, "none,name=kmonte-test-%ld", (long)time(NULL));
  make_dir("/tmp/groups");
  mount_at("none", "/tmp/groups", "cgroup", 0, line);
  make_dir("/tmp/groups/one"), make_dir("/tmp/groups/one/two"), make_dir("/tmp/groups/one/empty");
  snprintf(here, sizeof here, "%d", getpid());
  write_file("/tmp/groups/one/two/tasks", here);
  write_file("/tmp/groups/one/notify_on_release", "1");
  groups(before, sizeof before);
  test_check(strstr(before, "/one/two") != NULL, "groups: %s", before);
  test_ready_and_wait();
  groups(after, sizeof after);
  test_check(strcmp(before, after) == 0, "groups were\n%sand are\n%s", before, after);
  expect_file("/tmp/groups/one/notify_on_release", "1\n");
  write_file("/tmp/groups/tasks", here);
  test_check(rmdir("/tmp/groups/one/two") == 0 && rmdir("/tmp/groups/one/empty") == 0 && rmdir("/tmp/groups/one") == 0, "rmdir");
  test_check(umount("/tmp/groups") == 0, "umount");
  test_pass();
}
