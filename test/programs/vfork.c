/* kmonte-refuses: VFORK_IN_PROGRESS */
/* A child of vfork that takes its time: nothing can stop its parent meanwhile. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/wait.h>

static int finished;
static char path[64], text[4096];

/* The parent cannot be told anything; but the child can see that a signal waits for it. */
static int parent_was_told(void) {
  int fd = open(path, O_RDONLY);
  text[read(fd, text, sizeof text - 1)] = 0;
  close(fd);
  return (strtoull(strstr(text, "ShdPnd:") + 7, NULL, 16) >> (SIGTERM - 1)) & 1;
}

int main(void) {
  test_begin();
  snprintf(path, sizeof path, "/proc/%d/status", getpid());
  pid_t main_pid = getpid(), child = vfork();
  if (child == 0) {
    test_ready();
    while (!parent_was_told()) usleep(10000);
    finished = getppid() == main_pid;
    _exit(8);
  }
  int status;
  test_check(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 8 && finished, "status %x", status);
  test_pass();
}
