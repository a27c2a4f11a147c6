/* kmonte-refuses: TRACED */
/* A child that its parent traces. */
#include "kmonte-test.h"
#include <sys/ptrace.h>
#include <sys/wait.h>

int main(void) {
  test_begin();
  pid_t pid = fork();
  if (pid == 0) {
    for (;;) pause();
  }
  test_check(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0, "seize");
  test_ready_and_wait();
  int status;
  test_check(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0, "interrupt");
  test_check(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status), "status %x", status);
  kill(pid, SIGKILL);
  test_pass();
}
