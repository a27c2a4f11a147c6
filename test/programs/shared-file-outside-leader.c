/* kmonte-refuses: SHARED_FILE
   A file whose one position is shared with a process outside whose first thread has ended. */
#include "kmonte-test.h"
#include "outside.h"
#include <fcntl.h>
#include <pthread.h>

static pthread_t leader;
static int told[2];

static void *wait_for_end(void *argument) {
  pthread_join(leader, NULL);
  close(told[1]);
  char byte;
  while (read(told[0], &byte, 1) > 0) continue;
  _exit(0);
  return argument;
}

static void use(void) {
  pthread_t thread;
  leader = pthread_self();
  pthread_create(&thread, NULL, wait_for_end, NULL);
  pthread_exit(NULL);
}

int main(void) {
  test_begin();
  int log = open("log", O_WRONLY | O_CREAT, 0600);
  test_check(pipe(told) == 0, "pipe");
  start_outside(use);
  usleep(100000);
  test_ready_and_wait();
  test_check(write(log, "line\n", 5) == 5, "write");
  test_pass();
}
