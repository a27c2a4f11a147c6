/* kmonte-refuses: EXTERNAL_PIPE
   A pipe whose other end is held by a process that is not frozen: a child that left the tree. */
/* kmonte-shows: pipe/pipe-end */
#include "kmonte-test.h"
#include <sys/prctl.h>
#include <sys/wait.h>

int main(void) {
  test_begin();
  int ends[2];
  test_check(pipe(ends) == 0, "pipe");
  pid_t between = fork();
  if (between == 0) {
    if (fork() == 0) {
      setsid();
      signal(SIGTERM, SIG_DFL);
      close(ends[1]);
      char c;
      while (read(ends[0], &c, 1) == 1) {}
      _exit(0);
    }
    _exit(0);
  }
  waitpid(between, NULL, 0);
  close(ends[0]);
  test_ready_and_wait();
  test_check(write(ends[1], "x", 1) == 1, "write");
  test_pass();
}
