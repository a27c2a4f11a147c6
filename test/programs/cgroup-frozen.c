/* kmonte-refuses: CGROUP_FROZEN */
/* kmonte-shows: cgroup/membership */
/* A child whose control group is frozen (cgroup.freeze): it must stay so, and nothing can be asked of it meanwhile. */
#include "mounts.h"

static char group[200];

static void put(const char *name, const char *text) {
  char path[300];
  snprintf(path, sizeof path, "%s/%s", group, name);
  int fd = open(path, O_WRONLY);
  test_check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0, "%s > %s", text, path);
}

static int is_frozen(void) {
  char path[300], text[200] = "";
  snprintf(path, sizeof path, "%s/cgroup.events", group);
  int fd = open(path, O_RDONLY);
  test_check(fd >= 0 && read(fd, text, sizeof text - 1) > 0 && close(fd) == 0, "%s", path);
  return strstr(text, "frozen 1") != NULL;
}

int main(void) {
  test_begin();
  signal(SIGCHLD, SIG_DFL);
  const char *tops[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};
  for (int i = 0; i < 2; i++) {
    snprintf(group, sizeof group, "%s/cgroup.threads", tops[i]);
    if (access(group, F_OK) < 0) continue;
    snprintf(group, sizeof group, "%s/kmonte-test-frozen-%d", tops[i], getpid());
    break;
  }
  test_check(mkdir(group, 0755) == 0, "%s", group);
  pid_t child = fork();
  if (child == 0) {
    test_wait();
    _exit(0);
  }
  char id[12];
  snprintf(id, sizeof id, "%d", child);
  put("cgroup.procs", id), put("cgroup.freeze", "1");
  for (int i = 0; i < 2000 && !is_frozen(); i++) usleep(1000);
  test_check(is_frozen(), "it does not freeze");
  test_ready_and_wait();
  int still = is_frozen(), status;
  put("cgroup.freeze", "0");
  kill(child, SIGTERM);
  test_check(waitpid(child, &status, 0) == child && status == 0, "child: %x", status);
  for (int i = 0; i < 1000 && rmdir(group) < 0; i++) usleep(1000);
  test_check(still, "the group is not frozen any more");
  test_pass();
}
