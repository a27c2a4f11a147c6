/* Stops and continuations are told once: those waited for are not told again, those not waited for still are. */
#include "kmonte-test.h"
#include <pthread.h>
#include <sys/wait.h>

static volatile int told;
static void on_child(int signal) {
  (void)signal;
  told++;
}

static void *idle(void *argument) {
  for (;;) pause();
  return argument;
}

static pid_t sleeper(int threads) {
  pid_t pid = fork();
  if (pid == 0) {
    pthread_t thread;
    for (int i = 0; i < threads; i++) pthread_create(&thread, NULL, idle, NULL);
    for (;;) pause();
  }
  setpgid(pid, pid);
  usleep(20000);
  return pid;
}

int main(void) {
  test_begin();
  signal(SIGCHLD, on_child);
  int status;
  pid_t known = sleeper(0), threaded = sleeper(3), fresh = sleeper(0), interactive = sleeper(2), on = sleeper(0), on_known = sleeper(0);
  kill(known, SIGSTOP);
  test_check(waitpid(known, &status, WUNTRACED) == known, "wait");
  kill(threaded, SIGSTOP);
  test_check(waitpid(threaded, &status, WUNTRACED) == threaded, "wait");
  kill(fresh, SIGSTOP);
  kill(interactive, SIGTSTP);
  for (int i = 0; i < 2; i++) {
    pid_t pid = i ? on_known : on;
    kill(pid, SIGSTOP);
    test_check(waitpid(pid, &status, WUNTRACED) == pid, "wait");
    kill(pid, SIGCONT);
    usleep(20000);
  }
  test_check(waitpid(on_known, &status, WCONTINUED) == on_known, "wait");
  usleep(100000);
  told = 0;
  test_ready_and_wait();
  test_check(told == 0, "told %d times", told);
  siginfo_t info;
#define LOOK(pid, options) (info.si_pid = 0, info.si_code = 0, info.si_status = 0, waitid(P_PID, pid, &info, (options) | WNOHANG), info.si_code << 8 | info.si_status)
  test_check(LOOK(known, WSTOPPED | WCONTINUED) == 0, "news of the one waited for: %d %d", info.si_code, info.si_status);
  test_check(LOOK(threaded, WSTOPPED | WCONTINUED) == 0, "news of the one with threads: %d %d", info.si_code, info.si_status);
  test_check(LOOK(on_known, WSTOPPED | WCONTINUED) == 0, "news of the one that went on: %d %d", info.si_code, info.si_status);
  test_check(LOOK(fresh, WSTOPPED) == (CLD_STOPPED << 8 | SIGSTOP), "no news of a stop: %d %d", info.si_code, info.si_status);
  test_check(LOOK(interactive, WSTOPPED) == (CLD_STOPPED << 8 | SIGTSTP), "no news of SIGTSTP: %d %d", info.si_code, info.si_status);
  test_check(LOOK(on, WCONTINUED) == (CLD_CONTINUED << 8 | SIGCONT), "no news of the continuation: %d %d", info.si_code, info.si_status);
  pid_t all[] = {known, threaded, fresh, interactive, on, on_known};
  for (int i = 0; i < 6; i++) {
    if (i < 4) {
      kill(all[i], SIGCONT);
      test_check(waitpid(all[i], &status, WCONTINUED) == all[i] && WIFCONTINUED(status), "child %d: %x", i, status);
    }
    kill(all[i], SIGKILL);
    test_check(waitpid(all[i], &status, 0) == all[i] && WIFSIGNALED(status), "child %d: %x", i, status);
  }
  test_pass();
}
