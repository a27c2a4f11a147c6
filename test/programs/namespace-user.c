/* kmonte-shows: namespace/user */
/* User namespaces: one without maps, one as root of it, one nested, with a host name that belongs to it, and threads. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY);
  test_check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0, "%s", path);
}

static void read_all(char *into, size_t size) {
  static const char *const files[] = {"uid_map", "gid_map", "setgroups", "status"};
  size_t length = 0;
  for (int i = 0; i < 4; i++) {
    char path[100], line[300];
    snprintf(path, sizeof path, "/proc/self/%s", files[i]);
    FILE *file = fopen(path, "r");
    test_check(file != NULL, "%s", path);
    while (fgets(line, sizeof line, file)) {
      if (i == 3 && strncmp(line, "Uid", 3) && strncmp(line, "Gid", 3) && strncmp(line, "Groups", 6) && strncmp(line, "Cap", 3)) continue;
      length += (size_t)snprintf(into + length, size - length, "%s", line);
    }
    fclose(file);
  }
}

static void *sleeper(void *unused) {
  while (pause()) continue;
  return unused;
}

static void dig(void) {
  test_check(unshare(CLONE_NEWUSER | CLONE_NEWUTS) == 0, "unshare");
}

static void unmapped(void) {
  dig();
  test_check(getuid() == 65534, "user %d", getuid());
}

static void root_inside(void) {
  gid_t groups[] = {5, 7};
  test_check(setgroups(2, groups) == 0, "setgroups");
  dig();
  put("/proc/self/setgroups", "deny");
  put("/proc/self/uid_map", "0 0 1");
  put("/proc/self/gid_map", "0 0 1");
  test_check(getuid() == 0 && sethostname("inner", 5) == 0, "root");
}

static int pair[2];

/* By a process of the parent namespace. */
static void mapped_from_outside(void) {
  int up[2], down[2];
  test_check(pipe(up) == 0 && pipe(down) == 0, "pipe");
  pid_t outer = getpid(), helper = fork();
  char c;
  if (helper == 0) {
    char path[100];
    test_check(read(up[0], &c, 1) == 1, "waiting");
    snprintf(path, sizeof path, "/proc/%d/uid_map", outer);
    put(path, "0 1000 10\n50 2000 1000\n");
    snprintf(path, sizeof path, "/proc/%d/gid_map", outer);
    put(path, "0 3000 100\n");
    _exit(0);
  }
  dig();
  int status;
  test_check(write(up[1], "g", 1) == 1 && waitpid(helper, &status, 0) == helper && status == 0, "helper: %x", status);
  gid_t groups[] = {1, 3};
  test_check(setgroups(2, groups) == 0 && setresgid(5, 6, 7) == 0, "groups");
  test_check(prctl(PR_SET_KEEPCAPS, 1) == 0 && setresuid(60, 61, 62) == 0, "users");
}

static void nested(void) {
  mapped_from_outside();
  test_check(prctl(PR_SET_DUMPABLE, 1) == 0, "dumpable");
  dig();
  /* Only the namespace above may map ids; here it is done by one id that is the owner's own. */
  put("/proc/self/setgroups", "deny");
  put("/proc/self/uid_map", "7 61 1");
}

static void threaded(void) {
  root_inside();
  pthread_t thread;
  for (int i = 0; i < 3; i++) test_check(pthread_create(&thread, NULL, sleeper, NULL) == 0, "thread");
}

static void with_child(void) {
  root_inside();
  pid_t child = fork();
  if (child == 0) {
    test_check(unshare(CLONE_NEWPID) == 0, "child");
    pid_t init = fork();
    if (init == 0) {
      test_check(getpid() == 1, "init is %d", getpid());
      test_wait();
      _exit(getpid() == 1 && getuid() == 0 ? 3 : 4);
    }
    test_wait();
    int status;
    kill(init, SIGTERM);
    test_check(waitpid(init, &status, 0) == init && WEXITSTATUS(status) == 3, "init ended with %x", status);
    _exit(0);
  }
  pair[0] = child;
}

static void check_child(void) {
  if (pair[0] == 0) return;
  int status;
  kill(pair[0], SIGTERM);
  test_check(waitpid(pair[0], &status, 0) == pair[0] && status == 0, "child ended with %x", status);
}

int main(void) {
  test_begin();
  void (*const ways[])(void) = {unmapped, root_inside, mapped_from_outside, nested, threaded, with_child};
  enum { WAYS = sizeof ways / sizeof *ways };
  pid_t children[WAYS];
  int ready[2];
  test_check(pipe(ready) == 0, "pipe");
  for (int i = 0; i < WAYS; i++) {
    children[i] = fork();
    if (children[i]) continue;
    static char before[4000], after[4000];
    char host[2][65];
    ways[i]();
    read_all(before, sizeof before);
    gethostname(host[0], 65);
    test_check(write(ready[1], "r", 1) == 1, "telling");
    test_wait();
    read_all(after, sizeof after);
    gethostname(host[1], 65);
    test_check(strcmp(before, after) == 0, "way %d: was\n%sis\n%s", i, before, after);
    test_check(strcmp(host[0], host[1]) == 0, "host name is %s", host[1]);
    /* Rights in the namespace that belongs to ours. */
    if (i == 1) test_check(sethostname("again", 5) == 0, "sethostname");
    check_child();
    _exit(0);
  }
  char c;
  for (int i = 0; i < WAYS; i++) test_check(read(ready[0], &c, 1) == 1, "waiting");
  test_ready_and_wait();
  for (int i = 0; i < WAYS; i++) {
    int status;
    kill(children[i], SIGTERM);
    test_check(waitpid(children[i], &status, 0) == children[i] && status == 0, "way %d: %x", i, status);
  }
  test_pass();
}
