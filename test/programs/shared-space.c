/* kmonte-refuses: SHARED_WITH_PROCESS */
/* kmonte-shows: process/sharing */
/* Two processes in one address space, which are not threads of one another. */
#include "kmonte-test.h"
#include <sched.h>
#include <sys/wait.h>

static volatile int word;
static char stack[65536] __attribute__((aligned(16)));

static int child(void *argument) {
  (void)argument;
  while (word == 0) usleep(10000);
  word = 2;
  return 4;
}

int main(void) {
  test_begin();
  pid_t pid = clone(child, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
  test_check(pid > 0, "clone");
  usleep(50000);
  test_ready_and_wait();
  word = 1;
  int status;
  test_check(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 4 && word == 2, "status %x, word %d", status, word);
  test_pass();
}
