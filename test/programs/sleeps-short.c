/* Sleepers whose time ends while it is measured are in other calls when they are frozen, and go on in those. */
#include "kmonte-test.h"
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

enum { THREADS = 48 };
static volatile int end;
static uint32_t words[THREADS];

static void *sleep_in_turns(void *argument) {
  long me = (long)argument;
  while (!end) {
    int result = poll(NULL, 0, 3 + me % 5);
    test_check(result == 0, "poll answered %d (%s)", result, strerror(errno));
    struct timespec moment, length = {0, 4000000};
    clock_gettime(CLOCK_MONOTONIC, &moment);
    moment.tv_nsec += 4000000;
    if (moment.tv_nsec >= 1000000000) moment.tv_sec++, moment.tv_nsec -= 1000000000;
    int operation = FUTEX_PRIVATE_FLAG | (me % 2 ? FUTEX_WAIT_BITSET : FUTEX_WAIT);
    result = syscall(SYS_futex, &words[me], operation, 0, me % 2 ? &moment : &length, NULL, FUTEX_BITSET_MATCH_ANY);
    test_check(result == -1 && (errno == ETIMEDOUT || errno == EINTR), "futex answered %d (%s)", result, strerror(errno));
    result = nanosleep(&length, NULL);
    test_check(result == 0, "nanosleep answered %d (%s)", result, strerror(errno));
  }
  return NULL;
}

int main(void) {
  test_begin();
  pthread_t threads[THREADS];
  for (long i = 0; i < THREADS; i++) test_check(pthread_create(&threads[i], NULL, sleep_in_turns, (void *)i) == 0, "create");
  usleep(100000);
  test_ready_and_wait();
  end = 1;
  for (long i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  test_pass();
}
