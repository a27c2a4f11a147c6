/* Each thread keeps its own rights, scheduling and marks; the process its own. */
/* kmonte-shows: process/attributes process/limits security/credentials thread/scheduling thread/name-and-death-signal */
#include "kmonte-test.h"
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <fcntl.h>

#define IOPRIO(class, data) ((class) << 13 | (data))
static volatile int ready, look;

static void *one(void *argument) {
  struct sched_param fifo = {.sched_priority = 7}, back;
  test_check(pthread_setschedparam(pthread_self(), SCHED_FIFO, &fifo) == 0, "SCHED_FIFO");
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(0, &set);
  test_check(sched_setaffinity(0, sizeof set, &set) == 0, "affinity");
  test_check(prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0) == 0, "slack");
  test_check(syscall(SYS_ioprio_set, 1, 0, IOPRIO(2, 6)) == 0, "ioprio");
  gid_t groups[] = {5, 6, 7};
  test_check(syscall(SYS_setgroups, 3, groups) == 0, "groups");
  test_check(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0, "securebits");
  test_check(syscall(SYS_setresgid, 11, 12, 13) == 0, "gids");
  test_check(syscall(SYS_setresuid, 21, 22, 23) == 0, "uids");
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct caps[2] = {{1 << CAP_KILL, 1 << CAP_KILL | 1 << CAP_CHOWN, 1 << CAP_CHOWN}, {0, 0, 0}};
  test_check(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT) == 0, "bounding set");
  test_check(syscall(SYS_capset, &header, caps) == 0, "capset");
  test_check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0) == 0, "ambient");
  test_check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
  __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
  while (!look) usleep(10000);
  int policy;
  pthread_getschedparam(pthread_self(), &policy, &back);
  test_check(policy == SCHED_FIFO && back.sched_priority == 7, "policy %d, priority %d", policy, back.sched_priority);
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  test_check(CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set), "affinity");
  test_check(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) >= 0, "slack");
  test_check(syscall(SYS_ioprio_get, 1, 0) == IOPRIO(2, 6), "ioprio");
  uid_t r, e, s;
  test_check(getresuid(&r, &e, &s) == 0 && r == 21 && e == 22 && s == 23, "uids %d %d %d", r, e, s);
  test_check(getresgid(&r, &e, &s) == 0 && r == 11 && e == 12 && s == 13, "gids %d %d %d", r, e, s);
  gid_t now[8];
  test_check(getgroups(8, now) == 3 && now[0] == 5 && now[2] == 7, "groups");
  test_check(prctl(PR_GET_SECUREBITS) == (SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP), "securebits");
  memset(caps, 0xff, sizeof caps);
  test_check(syscall(SYS_capget, &header, caps) == 0, "capget");
  test_check(caps[0].effective == 1 << CAP_KILL && caps[0].permitted == (1 << CAP_KILL | 1 << CAP_CHOWN), "capabilities");
  test_check(caps[0].inheritable == 1 << CAP_CHOWN && caps[1].permitted == 0, "capabilities");
  test_check(prctl(PR_CAPBSET_READ, CAP_SYS_BOOT) == 0 && prctl(PR_CAPBSET_READ, CAP_CHOWN) == 1, "bounding set");
  test_check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0) == 1, "ambient");
  test_check(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, "no_new_privs");
  return argument;
}

static void *two(void *argument) {
  test_check(setpriority(PRIO_PROCESS, 0, 11) == 0, "nice");
  struct sched_param none = {0};
  test_check(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &none) == 0, "SCHED_BATCH");
  test_check(prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0) == 0, "slack");
  test_check(personality(PER_LINUX | ADDR_NO_RANDOMIZE) >= 0, "personality");
  __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
  while (!look) usleep(10000);
  test_check(sched_getscheduler(0) == (SCHED_BATCH | SCHED_RESET_ON_FORK), "policy %x", sched_getscheduler(0));
  test_check(getpriority(PRIO_PROCESS, 0) == 11, "nice");
  test_check(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == 123456, "slack %d", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
  test_check(personality(0xffffffff) == ADDR_NO_RANDOMIZE, "personality %x", personality(0xffffffff));
  test_check(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0, "no_new_privs of another");
  test_check(syscall(SYS_geteuid) == 0, "ids of another");
  return argument;
}

static int number_in(const char *path) {
  int value = -1, fd = open(path, O_RDONLY);
  char text[32] = {0};
  if (fd >= 0 && read(fd, text, sizeof text - 1) > 0) value = atoi(text);
  close(fd);
  return value;
}

int main(void) {
  test_begin();
  struct rlimit files = {123, 456}, cores = {0, RLIM_INFINITY};
  test_check(setrlimit(RLIMIT_NOFILE, &files) == 0 && setrlimit(RLIMIT_CORE, &cores) == 0, "limits");
  umask(035);
  int fd = open("/proc/self/oom_score_adj", O_WRONLY);
  test_check(write(fd, "321", 3) == 3, "oom_score_adj");
  close(fd);
  test_check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 && prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0, "prctl");
  pthread_t threads[2];
  pthread_create(&threads[0], NULL, one, NULL);
  pthread_create(&threads[1], NULL, two, NULL);
  while (ready < 2) usleep(1000);
  test_check(prctl(PR_SET_DUMPABLE, 0) == 0, "dumpable");
  test_ready_and_wait();
  test_check(prctl(PR_GET_DUMPABLE) == 0, "dumpable");
  prctl(PR_SET_DUMPABLE, 1);
  int value;
  test_check(prctl(PR_GET_CHILD_SUBREAPER, &value) == 0 && value == 1, "subreaper");
  test_check(prctl(PR_GET_PDEATHSIG, &value) == 0 && value == SIGUSR1, "pdeathsig %d", value);
  test_check(number_in("/proc/self/oom_score_adj") == 321, "oom_score_adj");
  test_check(umask(0) == 035, "umask");
  struct rlimit now;
  test_check(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == 123 && now.rlim_max == 456, "RLIMIT_NOFILE");
  test_check(getrlimit(RLIMIT_CORE, &now) == 0 && now.rlim_cur == 0 && now.rlim_max == RLIM_INFINITY, "RLIMIT_CORE");
  look = 1;
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  test_pass();
}
