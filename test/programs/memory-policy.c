/* kmonte-shows: thread/memory-policy */
/* Each thread takes its memory from the nodes that it has chosen. */
#include "kmonte-test.h"
#include <pthread.h>
#include <sys/syscall.h>

#define MPOL_BIND 2
#define MPOL_INTERLEAVE 3
static volatile int look, ready;
static unsigned long nodes = 1;

static void check(int want) {
  int mode = -1;
  unsigned long mask[16] = {0};
  test_check(syscall(SYS_get_mempolicy, &mode, mask, 1024, 0, 0) == 0, "get_mempolicy");
  test_check(mode == want && mask[0] == (want ? 1u : 0u), "mode %d, nodes %lx", mode, mask[0]);
}

static void *other(void *argument) {
  test_check(syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &nodes, 64) == 0, "set_mempolicy");
  ready = 1;
  while (!look) usleep(10000);
  check(MPOL_INTERLEAVE);
  return argument;
}

static void *usual(void *argument) {
  while (!look) usleep(10000);
  check(0);
  return argument;
}

int main(void) {
  test_begin();
  pthread_t threads[2];
  pthread_create(&threads[0], NULL, other, NULL);
  pthread_create(&threads[1], NULL, usual, NULL);
  while (!ready) usleep(1000);
  test_check(syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 64) == 0, "set_mempolicy");
  test_ready_and_wait();
  check(MPOL_BIND);
  look = 1;
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  test_pass();
}
