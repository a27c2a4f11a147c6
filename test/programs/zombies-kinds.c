/* Children that have ended in every way that there is: all signals, a core file, another user, leaders of sessions and groups, without a signal to their parent. */
#include "kmonte-test.h"
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MOST 80
static pid_t pids[MOST];
static int statuses[MOST], users[MOST], count;

static int ends_by_default(int signal) {
  return signal != SIGCHLD && signal != SIGCONT && signal != SIGURG && signal != SIGWINCH && signal != SIGSTOP && signal != SIGTSTP &&
         signal != SIGTTIN && signal != SIGTTOU && signal != 32 && signal != 33;
}

static void note(pid_t pid, int options) {
  siginfo_t info = {0};
  test_check(pid > 0 && waitid(P_PID, pid, &info, WEXITED | WNOWAIT | options) == 0, "waitid for %d", pid);
  pids[count] = pid;
  statuses[count] = info.si_code << 8 | info.si_status;
  users[count++] = info.si_uid;
}

static pid_t born(void (*act)(int), int argument, int flags) {
  pid_t pid = syscall(SYS_clone, flags, 0, 0, 0, 0);
  if (pid == 0) {
    signal(SIGTERM, SIG_DFL);
    act(argument);
    _exit(99);
  }
  return pid;
}

static void end_by(int signal) {
  kill(getpid(), signal);
}
static void dump(int signal) {
  struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_CORE, &all);
  kill(getpid(), signal);
}
static void lead_session(int code) {
  setsid();
  _exit(code);
}
static void lead_group(int code) {
  setpgid(0, 0);
  _exit(code);
}
static void other_user(int code) {
  test_check(syscall(SYS_setresuid, 1234, 1235, 1236) == 0, "setresuid");
  _exit(code);
}

int main(void) {
  test_begin();
  struct rlimit none = {0, RLIM_INFINITY};
  setrlimit(RLIMIT_CORE, &none);
  for (int signal = 1; signal <= 64; signal++)
    if (ends_by_default(signal)) note(born(end_by, signal, SIGCHLD), 0);
  note(born(lead_session, 3, SIGCHLD), 0);
  note(born(lead_group, 4, SIGCHLD), 0);
  note(born(other_user, 255, SIGCHLD), 0);
  note(born(lead_group, 5, SIGUSR2 * 0), __WCLONE);
  note(born(dump, SIGQUIT, SIGCHLD), 0);
  printf("the core file: %d\n", statuses[count - 1] >> 8);
  int dumped = statuses[count - 1] >> 8;
  char name[64];
  snprintf(name, sizeof name, "core.%d", pids[count - 1]);
  unlink(name);
  unlink("core");
  signal(SIGCHLD, SIG_IGN);
  test_ready_and_wait();
  for (int i = 0; i < count; i++) {
    siginfo_t info = {0};
    test_check(waitid(P_PID, pids[i], &info, WEXITED | __WALL) == 0, "child %d is gone", i);
    test_check((info.si_code << 8 | info.si_status) == statuses[i] && (int)info.si_uid == users[i],
               "child %d: code %d status %d user %d, not %x %d", i, info.si_code, info.si_status, info.si_uid, statuses[i], users[i]);
  }
  test_check(dumped == CLD_DUMPED, "no core file at all: %d", dumped);
  test_check(waitpid(-1, NULL, __WALL) == -1 && errno == ECHILD, "a child too many");
  test_pass();
}
