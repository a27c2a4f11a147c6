/* A child that was stopped comes back stopped, and goes on when it is told to. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/wait.h>

static char state_of(pid_t pid) {
  char path[64], text[512] = {0};
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int fd = open(path, O_RDONLY);
  test_check(fd >= 0 && read(fd, text, sizeof text - 1) > 0, "%s", path);
  close(fd);
  return strrchr(text, ')')[2];
}

int main(void) {
  test_begin();
  pid_t children[2];
  int signals[2] = {SIGSTOP, SIGTSTP};
  int status;
  for (int i = 0; i < 2; i++) {
    children[i] = fork();
    if (children[i] == 0) {
      for (;;) pause();
    }
    setpgid(children[i], children[i]);
    kill(children[i], signals[i]);
    test_check(waitpid(children[i], &status, WUNTRACED) == children[i] && WIFSTOPPED(status), "status %x", status);
  }
  test_ready_and_wait();
  usleep(100000);
  for (int i = 0; i < 2; i++) {
    test_check(state_of(children[i]) == 'T', "child %d is in state %c", i, state_of(children[i]));
    kill(children[i], SIGCONT);
    test_check(waitpid(children[i], &status, WCONTINUED) == children[i] && WIFCONTINUED(status), "status %x", status);
    usleep(50000);
    test_check(state_of(children[i]) == 'S', "child %d is in state %c", i, state_of(children[i]));
    kill(children[i], SIGKILL);
    test_check(waitpid(children[i], &status, 0) == children[i] && WIFSIGNALED(status), "status %x", status);
  }
  test_pass();
}
