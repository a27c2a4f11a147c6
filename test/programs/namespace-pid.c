/* kmonte-unshare: pid */
/* kmonte-shows: namespace/membership */
/* Ids inside a pid namespace: init, a child that leads a session, a thread, a zombie, an orphan, a nested namespace. */
#include "kmonte-test.h"
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static pid_t thread_id;

static void *sleeper(void *unused) {
  (void)unused;
  thread_id = (pid_t)syscall(SYS_gettid);
  while (pause()) continue;
  return NULL;
}

int main(void) {
  test_begin();
  test_check(getpid() == 1 && getppid() == 0, "not init: %d", getpid());
  pthread_t thread;
  test_check(pthread_create(&thread, NULL, sleeper, NULL) == 0, "thread");
  while (!thread_id) usleep(1000);
  int up[2], go[2];
  test_check(pipe(up) == 0 && pipe(go) == 0, "pipe");
  pid_t leader = fork();
  if (leader == 0) {
    pid_t me = setsid(), ids[2] = {me, 0};
    /* An orphan that stays in the session of a process that goes on, and a grandchild in a namespace below. */
    test_check(unshare(CLONE_NEWPID) == 0, "unshare");
    ids[1] = fork();
    if (ids[1] == 0) {
      char c;
      test_check(getpid() == 1, "nested init is %d", getpid());
      test_check(write(up[1], ids, sizeof ids) == sizeof ids, "telling");
      test_check(read(go[0], &c, 1) == 1, "waiting");
      test_check(getpid() == 1 && syscall(SYS_gettid) == 1 && getppid() == 0, "nested init is now %d", getpid());
      pid_t next = fork();
      if (next == 0) _exit(getpid());
      int status;
      test_check(waitpid(next, &status, 0) == next && WEXITSTATUS(status) == 2, "next is %d", next);
      _exit(42);
    }
    int status;
    while (waitpid(ids[1], &status, 0) < 0);
    test_check(WEXITSTATUS(status) == 42, "nested init ended with %x", status);
    test_check(getpid() == me && getsid(0) == me && getpgrp() == me, "ids of the leader");
    _exit(7);
  }
  pid_t ids[2];
  test_check(read(up[0], ids, sizeof ids) == sizeof ids, "waiting");
  pid_t zombie = fork();
  if (zombie == 0) _exit(5);
  siginfo_t info;
  test_check(waitid(P_PID, zombie, &info, WEXITED | WNOWAIT) == 0, "zombie");
  test_ready_and_wait();
  test_check(getpid() == 1 && getppid() == 0, "now %d, child of %d", getpid(), getppid());
  test_check(syscall(SYS_tgkill, 1, thread_id, 0) == 0, "thread %d", thread_id);
  test_check(kill(leader, 0) == 0 && getsid(leader) == leader && getpgid(leader) == leader, "leader %d", leader);
  int status;
  test_check(waitpid(zombie, &status, 0) == zombie && WEXITSTATUS(status) == 5, "zombie %d", zombie);
  test_check(write(go[1], "g", 1) == 1, "letting go");
  test_check(waitpid(leader, &status, 0) == leader && WEXITSTATUS(status) == 7, "leader ended with %x", status);
  pid_t next = fork();
  if (next == 0) _exit(0);
  test_check(next > 1 && next < 50 && waitpid(next, &status, 0) == next, "the next process is %d", next);
  test_pass();
}
