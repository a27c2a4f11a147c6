/* Children that have ended are waited for once, with the status that they ended with; nobody is told of them twice. */
#include "kmonte-test.h"
#include <sys/wait.h>

static volatile int told;
static void on_child(int signal) {
  (void)signal;
  told++;
}

int main(void) {
  test_begin();
  pid_t exited = fork();
  if (exited == 0) _exit(37);
  pid_t killed = fork();
  if (killed == 0) {
    raise(SIGTERM);
    signal(SIGTERM, SIG_DFL);
    raise(SIGTERM);
  }
  pid_t silent = fork();
  if (silent == 0) {
    signal(SIGUSR2, SIG_DFL);
    raise(SIGUSR2);
  }
  pid_t living = fork();
  if (living == 0) {
    pid_t inner = fork();
    if (inner == 0) _exit(3);
    siginfo_t info;
    test_check(waitid(P_PID, inner, &info, WEXITED | WNOWAIT) == 0, "waitid");
    while (!test_told) usleep(10000);
    int status;
    _exit(waitpid(inner, &status, 0) == inner && WIFEXITED(status) && WEXITSTATUS(status) == 3 ? 5 : 6);
  }
  siginfo_t info;
  test_check(waitid(P_PID, exited, &info, WEXITED | WNOWAIT) == 0, "waitid");
  test_check(waitid(P_PID, killed, &info, WEXITED | WNOWAIT) == 0, "waitid");
  test_check(waitid(P_PID, silent, &info, WEXITED | WNOWAIT) == 0, "waitid");
  usleep(50000);
  signal(SIGCHLD, on_child);
  test_ready_and_wait();
  test_check(told == 0, "told %d times of children that had ended before", told);
  int status;
  test_check(waitpid(exited, &status, 0) == exited && WIFEXITED(status) && WEXITSTATUS(status) == 37, "status %x", status);
  test_check(waitpid(killed, &status, 0) == killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "status %x", status);
  test_check(waitpid(silent, &status, 0) == silent && WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2, "status %x", status);
  kill(living, SIGTERM);
  test_check(waitpid(living, &status, 0) == living && WIFEXITED(status) && WEXITSTATUS(status) == 5, "status %x", status);
  test_check(waitpid(-1, &status, 0) == -1 && errno == ECHILD, "a child too many");
  test_check(told == 1, "told %d times", told);
  test_pass();
}
