/*
 * Whether others may look into a process (PR_SET_DUMPABLE, prctl(2)), which changing its user takes away: a child that
 * has given up root's rights and allows it again, with a second thread, and the parent, which does not allow it.
 * kmonte-shows: process/attributes security/credentials
 */
#include "kmonte-test.h"
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void *idle(void *unused) {
  (void)unused;
  for (;;) pause();
}

int main(void) {
  test_begin();
  pid_t child = fork();
  if (child == 0) {
    pthread_t thread;
    test_check(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0, "ids");
    test_check(prctl(PR_SET_DUMPABLE, 1) == 0, "dumpable");
    test_check(pthread_create(&thread, NULL, idle, NULL) == 0, "thread");
    test_wait();
    struct stat self;
    if (prctl(PR_GET_DUMPABLE) != 1) _exit(1);
    if (stat("/proc/self/mem", &self) != 0 || self.st_uid != 65534) _exit(2);
    _exit(0);
  }
  test_check(prctl(PR_SET_DUMPABLE, 0) == 0, "not dumpable");
  usleep(100000);
  test_ready_and_wait();
  int status;
  kill(child, SIGTERM);
  test_check(waitpid(child, &status, 0) == child && status == 0, "the child ended with %x", status);
  test_check(prctl(PR_GET_DUMPABLE) == 0, "the parent became dumpable");
  test_pass();
}
