/* kmonte-shows: process/sharing */
/* Processes in one address space, which are not threads of one another: with signal actions in common, and without. */
#include "kmonte-test.h"
#include <sched.h>
#include <sys/wait.h>

static volatile int word, handled[2], ready;
static char stacks[2][65536] __attribute__((aligned(16)));

static void on_usr1(int signal) {
  (void)signal;
  ready++;
}

static int child(void *argument) {
  int me = (int)(long)argument;
  ready++;
  while (word != 1 + me) usleep(10000);
  /* One that shares the actions changes them for its parent too. */
  if (me == 1) signal(SIGUSR1, on_usr1);
  handled[me] = 1;
  return 4 + me;
}

int main(void) {
  test_begin();
  pid_t pids[2];
  pids[0] = clone(child, stacks[0] + sizeof stacks[0], CLONE_VM | SIGCHLD, (void *)0);
  pids[1] = clone(child, stacks[1] + sizeof stacks[1], CLONE_VM | CLONE_SIGHAND | SIGCHLD, (void *)1);
  test_check(pids[0] > 0 && pids[1] > 0, "clone");
  while (ready < 2) usleep(1000);
  test_ready_and_wait();
  for (int i = 0; i < 2; i++) {
    word = 1 + i;
    int status;
    test_check(waitpid(pids[i], &status, 0) == pids[i] && WEXITSTATUS(status) == 4 + i && handled[i], "child %d: status %x", i, status);
  }
  raise(SIGUSR1);
  test_check(ready == 3, "the signal actions are not shared any more");
  test_pass();
}
