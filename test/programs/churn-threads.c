/* Frozen while threads are made and end all the time: none is lost, none is told apart. */
#include "kmonte-test.h"
#include <pthread.h>

#define CHAINS 6
static volatile long made, ended;
static volatile int stop, chains = CHAINS;

static void *link_of(void *argument) {
  __atomic_add_fetch(&made, 1, __ATOMIC_SEQ_CST);
  usleep(1000 + (long)argument % 7 * 300);
  if (!stop) {
    pthread_t next;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 65536);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&next, &attr, link_of, (void *)((long)argument + 1));
    if (error) test_fail("pthread_create: %d", error);
  } else {
    __atomic_sub_fetch(&chains, 1, __ATOMIC_SEQ_CST);
  }
  __atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
  return NULL;
}

int main(void) {
  test_begin();
  /* A thread that makes another looks for signals of the process: it would take the one that the main thread waits for. */
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &term, NULL);
  for (long i = 0; i < CHAINS; i++) link_of((void *)i);
  usleep(50000);
  test_ready_and_wait();
  long before = made;
  usleep(100000);
  test_check(made > before + 10, "only %ld threads more", made - before);
  stop = 1;
  for (int tries = 0; chains > 0 && tries < 1000; tries++) usleep(5000);
  test_check(chains == 0, "%d chains never end", chains);
  test_pass();
}
