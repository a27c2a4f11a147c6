/* Threads go on under their ids, with their own registers, names and thread-local memory. */
/* kmonte-shows: thread/execution */
#include "kmonte-test.h"
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define THREADS 20
static __thread unsigned long local;
static volatile int stop;
static unsigned long counts[THREADS];
static pid_t tids[THREADS];

static void *work(void *argument) {
  long me = (long)argument;
  char name[16];
  snprintf(name, sizeof name, "worker-%ld", me);
  prctl(PR_SET_NAME, name);
  tids[me] = syscall(SYS_gettid);
  double sum = me;
  while (!stop) {
    local++;
    sum = sum * 1.0000001 + 1e-9;
    __atomic_store_n(&counts[me], local, __ATOMIC_RELAXED);
    if (me > 0) usleep(1000); /* one works without pause */
  }
  char now[16];
  prctl(PR_GET_NAME, now);
  test_check(strcmp(now, name) == 0, "thread %ld is called %s", me, now);
  test_check(syscall(SYS_gettid) == tids[me], "thread %ld has another id", me);
  test_check(local == counts[me], "thread-local memory of %ld", me);
  test_check(sum >= me, "floating point of %ld", me);
  return (void *)(me + 1);
}

int main(void) {
  test_begin();
  pthread_t threads[THREADS];
  for (long i = 0; i < THREADS; i++) test_check(pthread_create(&threads[i], NULL, work, (void *)i) == 0, "create");
  usleep(100000);
  test_ready_and_wait();
  unsigned long before[THREADS];
  for (int i = 0; i < THREADS; i++) before[i] = counts[i];
  usleep(300000);
  for (int i = 0; i < THREADS; i++) test_check(counts[i] > before[i], "thread %d stands still", i);
  stop = 1;
  for (long i = 0; i < THREADS; i++) {
    void *result;
    test_check(pthread_join(threads[i], &result) == 0 && result == (void *)(i + 1), "join of %ld", i);
  }
  test_pass();
}
