/* kmonte-refuses: PARENT_THREAD */
/* A child that hears of the end of the thread that made it, which is not its parent's first. */
#include "kmonte-test.h"
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static pid_t child;
static int ready[2], go[2];

static void on_death(int signal) {
  (void)signal;
  _exit(44);
}

static void *make_child(void *argument) {
  char byte;
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &term, NULL);
  child = fork();
  if (child == 0) {
    signal(SIGUSR1, on_death);
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    test_check(write(ready[1], "x", 1) == 1, "telling");
    for (;;) pause();
  }
  while (read(go[0], &byte, 1) < 0) continue;
  return argument;
}

int main(void) {
  test_begin();
  char byte;
  int status;
  pthread_t thread;
  test_check(pipe(ready) == 0 && pipe(go) == 0, "pipes");
  pthread_create(&thread, NULL, make_child, NULL);
  test_check(read(ready[0], &byte, 1) == 1, "the child stands");
  test_ready_and_wait();
  test_check(waitpid(child, &status, WNOHANG) == 0, "it heard of an end that was none");
  test_check(write(go[1], "x", 1) == 1, "ending the thread");
  test_check(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 44, "status %x", status);
  pthread_join(thread, NULL);
  test_pass();
}
