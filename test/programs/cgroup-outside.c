/* kmonte-shows: cgroup/membership, cgroup/tree */
/* Groups of both versions with settings, a process and a thread in others, all of which are gone before the thaw. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const char *const hierarchies[] = {"unified", "pids", "memory", "cpu", "freezer", "devices"};
enum { COUNT = sizeof hierarchies / sizeof *hierarchies };
static char top[COUNT][200], sub[COUNT][200];
/* A group of version 2 that is frozen, with nobody in it. */
static char cold[300];
static int has[COUNT];

static void put(const char *folder, const char *name, const char *text) {
  char path[300];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int fd = open(path, O_WRONLY);
  test_check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0, "%s > %s", text, path);
}

static void expect(const char *folder, const char *name, const char *text) {
  char path[300], found[200] = "";
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int fd = open(path, O_RDONLY);
  test_check(fd >= 0 && read(fd, found, sizeof found - 1) >= 0 && close(fd) == 0, "%s", path);
  test_check(strcmp(found, text) == 0, "%s is %s", path, found);
}

static void groups_of(pid_t pid, pid_t tid, char *into, size_t size) {
  char path[100];
  snprintf(path, sizeof path, "/proc/%d/task/%d/cgroup", pid, tid);
  int fd = open(path, O_RDONLY);
  ssize_t got = fd < 0 ? -1 : read(fd, into, size - 1);
  test_check(got > 0 && close(fd) == 0, "%s", path);
  into[got] = 0;
  /* Hierarchies with names alone come and go on the machine. */
  for (char *line = strstr(into, ":name="); line; line = strstr(into, ":name=")) {
    char *start = line, *end = strchr(line, '\n');
    while (start > into && start[-1] != '\n') start--;
    memmove(start, end + 1, strlen(end + 1) + 1);
  }
}

static volatile pid_t thread_id;

static void *sleeper(void *unused) {
  thread_id = (pid_t)syscall(SYS_gettid);
  while (pause()) continue;
  return unused;
}

/* Takes the groups away as soon as nobody is in them; ends by itself. */
static void clean(void) {
  pid_t me = getpid();
  if (fork() != 0) return;
  if (fork() != 0) _exit(0);
  setsid();
  for (int i = 0; i < 20000 && kill(me, 0) == 0; i++) usleep(1000);
  for (int i = 0; i < 100; i++) {
    rmdir(cold);
    for (int h = 0; h < COUNT; h++) {
      rmdir(sub[h]);
      rmdir(top[h]);
    }
    usleep(1000);
  }
  _exit(0);
}

int main(void) {
  test_begin();
  signal(SIGCHLD, SIG_DFL);
  int me = getpid();
  for (int h = 0; h < COUNT; h++) {
    char root[100], procs[200];
    snprintf(root, sizeof root, "/sys/fs/cgroup/%s", hierarchies[h]);
    snprintf(procs, sizeof procs, "%s/cgroup.procs", root);
    has[h] = access(procs, W_OK) == 0;
    if (!has[h]) continue;
    snprintf(top[h], sizeof top[h], "%s/kmonte-test-%d", root, me);
    snprintf(sub[h], sizeof sub[h], "%s/sub", top[h]);
    test_check(mkdir(top[h], 0755) == 0 && mkdir(sub[h], 0755) == 0 && chown(sub[h], 5, 6) == 0, "%s", sub[h]);
  }
  snprintf(cold, sizeof cold, "%s/cold", top[0]);
  if (has[0]) test_check(mkdir(cold, 0755) == 0, "%s", cold);
  if (has[0]) put(top[0], "cgroup.max.depth", "7"), put(cold, "cgroup.freeze", "1");
  if (has[1]) put(sub[1], "pids.max", "99");
  if (has[2]) put(sub[2], "memory.limit_in_bytes", "104857600");
  if (has[3]) put(sub[3], "cpu.shares", "777");
  if (has[5]) put(sub[5], "devices.deny", "a"), put(sub[5], "devices.allow", "c 1:3 rwm");
  pthread_t thread;
  pid_t child = fork();
  if (child == 0) {
    test_wait();
    _exit(0);
  }
  test_check(pthread_create(&thread, NULL, sleeper, NULL) == 0, "thread");
  while (!thread_id) usleep(1000);
  char self[12], other[12], tid[12];
  snprintf(self, sizeof self, "%d", me), snprintf(other, sizeof other, "%d", child), snprintf(tid, sizeof tid, "%d", thread_id);
  for (int h = 0; h < COUNT; h++) {
    if (!has[h]) continue;
    put(h == 0 ? top[h] : sub[h], "cgroup.procs", self);
    put(sub[h], "cgroup.procs", other);
  }
  if (has[4]) put(top[4], "tasks", tid);
  clean();
  int status;
  wait(&status);
  static char before[3][2000], after[3][2000];
  groups_of(me, me, before[0], sizeof before[0]);
  groups_of(child, child, before[1], sizeof before[1]);
  groups_of(me, thread_id, before[2], sizeof before[2]);
  test_check(!has[4] || strcmp(before[0], before[2]) != 0, "the thread is not elsewhere");
  test_ready_and_wait();
  groups_of(me, me, after[0], sizeof after[0]);
  groups_of(child, child, after[1], sizeof after[1]);
  groups_of(me, thread_id, after[2], sizeof after[2]);
  for (int i = 0; i < 3; i++) test_check(strcmp(before[i], after[i]) == 0, "groups %d were\n%sand are\n%s", i, before[i], after[i]);
  if (has[0]) expect(top[0], "cgroup.max.depth", "7\n"), expect(cold, "cgroup.freeze", "1\n");
  if (has[1]) expect(sub[1], "pids.max", "99\n");
  if (has[2]) expect(sub[2], "memory.limit_in_bytes", "104857600\n");
  if (has[3]) expect(sub[3], "cpu.shares", "777\n");
  if (has[5]) expect(sub[5], "devices.list", "c 1:3 rwm\n");
  struct stat about;
  for (int h = 0; h < COUNT; h++) test_check(!has[h] || (stat(sub[h], &about) == 0 && about.st_uid == 5 && about.st_gid == 6), "owner");
  kill(child, SIGTERM);
  test_check(waitpid(child, &status, 0) == child && status == 0, "child");
  for (int h = 0; h < COUNT; h++) {
    char path[100];
    if (!has[h]) continue;
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s", hierarchies[h]);
    put(path, "cgroup.procs", self);
    if (h == 4) put(path, "tasks", tid);
    test_check(h != 0 || rmdir(cold) == 0, "%s", cold);
    test_check(rmdir(sub[h]) == 0 && rmdir(top[h]) == 0, "%s", sub[h]);
  }
  test_pass();
}
