/* Frozen while children are made, start programs, end and are waited for all the time. */
#include "kmonte-test.h"
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;
static volatile long *count;

static void spin(int me) {
  for (long i = 0; !test_told; i++) {
    int status = 0, want = (int)(i % 100);
    pid_t pid;
    if (me == 2) {
      char *args[] = {"/bin/true", NULL};
      want = 0;
      if (posix_spawn(&pid, args[0], NULL, NULL, args, environ) != 0) test_fail("posix_spawn");
    } else {
      pid = me == 1 ? vfork() : fork();
      if (pid == 0) {
        if (me == 0) usleep(300);
        _exit(want);
      }
    }
    if (pid < 0) test_fail("%d cannot fork: %s", me, strerror(errno));
    pid_t got;
    while ((got = waitpid(pid, &status, 0)) == -1 && errno == EINTR);
    if (got != pid || !WIFEXITED(status) || WEXITSTATUS(status) != want) test_fail("%d: child %d of %d: status %x, errno %d", me, got, pid, status, errno);
    if (waitpid(-1, NULL, 0) != -1 || errno != ECHILD) test_fail("%d: a child too many", me);
    count[me]++;
    usleep(me == 2 ? 20000 : 2000);
  }
  _exit(40 + me);
}

int main(void) {
  test_begin();
  count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t pids[3];
  for (int i = 0; i < 3; i++)
    if ((pids[i] = fork()) == 0) spin(i);
  usleep(100000);
  test_ready_and_wait();
  long before[3] = {count[0], count[1], count[2]};
  usleep(300000);
  for (int i = 0; i < 3; i++) {
    int status;
    test_check(count[i] > before[i], "%d does nothing more", i);
    kill(pids[i], SIGTERM);
    test_check(waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status) && WEXITSTATUS(status) == 40 + i, "%d: status %x", i, status);
  }
  test_pass();
}
