/* kmonte-refuses: EXTERNAL_PIPE
   A process whose first thread has ended, and a pipe whose other end is held by a process that is not frozen. */
/* kmonte-shows: pipe/pipe-end */
#include "kmonte-test.h"
#include "outside.h"
#include <pthread.h>

static int ends[2];
static pthread_t leader;

static void use(void) {
  close(ends[1]);
}

static void *work(void *argument) {
  pthread_join(leader, NULL);
  close(ends[0]);
  test_ready_and_wait();
  test_check(write(ends[1], "x", 1) == 1, "write");
  test_pass();
  return argument;
}

int main(void) {
  test_begin();
  test_check(pipe(ends) == 0, "pipe");
  start_outside(use);
  leader = pthread_self();
  pthread_t thread;
  pthread_create(&thread, NULL, work, NULL);
  pthread_exit(NULL);
}
