/* A thread that may use one processor only keeps to it; another may use all. */
#include "kmonte-test.h"
#include <pthread.h>
#include <sched.h>

static cpu_set_t of_thread;

static void *work(void *unused) {
  cpu_set_t now;
  test_check(sched_setaffinity(0, sizeof of_thread, &of_thread) == 0, "setaffinity");
  while (!test_told) usleep(1000);
  test_check(sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &of_thread), "the thread's affinity");
  return unused;
}

int main(void) {
  test_begin();
  cpu_set_t all, now;
  test_check(sched_getaffinity(0, sizeof all, &all) == 0, "getaffinity");
  int last = CPU_SETSIZE - 1;
  while (!CPU_ISSET(last, &all)) last--;
  CPU_ZERO(&of_thread);
  CPU_SET(last, &of_thread);
  pthread_t thread;
  test_check(pthread_create(&thread, NULL, work, NULL) == 0, "thread");
  usleep(50000);
  test_ready_and_wait();
  test_check(sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &all), "the affinity of the main thread");
  test_check(pthread_join(thread, NULL) == 0, "join");
  test_pass();
}
