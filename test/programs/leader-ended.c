/* kmonte-refuses: LEADER_ENDED */
/* A child whose first thread has ended while another works on. */
#include "kmonte-test.h"
#include <pthread.h>
#include <sys/wait.h>

static void *work(void *argument) {
  (void)argument;
  while (!test_told) usleep(10000);
  _exit(9);
}

int main(void) {
  test_begin();
  pid_t pid = fork();
  if (pid == 0) {
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    pthread_exit(NULL);
  }
  usleep(100000);
  test_ready_and_wait();
  int status;
  kill(pid, SIGTERM);
  test_check(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 9, "status %x", status);
  test_pass();
}
