/* kmonte-refuses: TIME_NAMESPACE */
/* kmonte-shows: process/namespaces */
/* A child with clocks of its own (time_namespaces(7)). */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <time.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

int main(void) {
  test_begin();
  signal(SIGCHLD, SIG_DFL);
  int go[2];
  test_check(pipe(go) == 0 && unshare(CLONE_NEWTIME) == 0, "unshare");
  int fd = open("/proc/self/timens_offsets", O_WRONLY);
  test_check(fd >= 0 && write(fd, "monotonic 1000000 0\n", 20) == 20 && close(fd) == 0, "offsets");
  struct timespec mine, theirs;
  pid_t child = fork();
  if (child == 0) {
    test_wait();
    clock_gettime(CLOCK_MONOTONIC, &theirs);
    _exit(write(go[1], &theirs, sizeof theirs) == sizeof theirs ? 0 : 1);
  }
  test_ready_and_wait();
  clock_gettime(CLOCK_MONOTONIC, &mine);
  int status;
  kill(child, SIGTERM);
  test_check(waitpid(child, &status, 0) == child && status == 0, "child");
  test_check(read(go[0], &theirs, sizeof theirs) == sizeof theirs && theirs.tv_sec - mine.tv_sec >= 999990, "its clock is %ld, mine %ld", theirs.tv_sec, mine.tv_sec);
  test_pass();
}
