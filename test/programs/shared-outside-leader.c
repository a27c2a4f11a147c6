/* kmonte-refuses: SHARED_MEMORY
   Memory shared with a process outside whose first thread has ended: /proc/PID/maps of it is empty. */
#include "kmonte-test.h"
#include "outside.h"
#include <pthread.h>
#include <sys/mman.h>

static volatile int *shared;
static pid_t program;

static void *answer(void *leader) {
  pthread_join(*(pthread_t *)leader, NULL);
  shared[2] = 1;
  while (shared[0] == 0 && kill(program, 0) == 0) usleep(1000);
  shared[1] = 1;
  _exit(0);
}

static void use(void) {
  static pthread_t leader, thread;
  leader = pthread_self();
  pthread_create(&thread, NULL, answer, &leader);
  pthread_exit(NULL);
}

int main(void) {
  test_begin();
  program = getpid();
  shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  start_outside(use);
  while (shared[2] == 0) usleep(1000);
  test_ready_and_wait();
  shared[0] = 1;
  for (int i = 0; i < 2000 && shared[1] == 0; i += 1) usleep(1000);
  test_check(shared[1] == 1, "nobody is there");
  test_pass();
}
