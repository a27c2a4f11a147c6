/* kmonte-refuses: SHARED_MEMORY */
/* Anonymous memory that a process outside has too, without any descriptor: what one writes the other one reads. */
#include "kmonte-test.h"
#include "outside.h"
#include <sys/mman.h>

static volatile int *shared;
static pid_t program;

static void use(void) {
  while (shared[0] == 0 && kill(program, 0) == 0) usleep(1000);
  shared[1] = 1;
}

int main(void) {
  test_begin();
  program = getpid();
  shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  start_outside(use);
  test_ready_and_wait();
  shared[0] = 1;
  for (int i = 0; i < 2000 && shared[1] == 0; i += 1) usleep(1000);
  test_check(shared[1] == 1, "nobody is there");
  test_pass();
}
