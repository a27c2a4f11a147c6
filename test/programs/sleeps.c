/* Sleeps in progress end when they should: relative ones with the time that was left, absolute ones at their moment. */
/* kmonte-shows: thread/interrupted-call */
#include "kmonte-test.h"
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>

#define EARLY 0.0005
#define LATE 0.35

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec + ts.tv_nsec / 1e9;
}

static double want, start_at[16], took[16];
static int result[16], number[16];
static int word;

static void *sleeper(void *argument) {
  long me = (long)argument;
  double length = want + me * 0.1;
  struct timespec ts = {(time_t)length, (long)((length - (long)length) * 1e9)}, rest;
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  at.tv_sec += ts.tv_sec;
  if ((at.tv_nsec += ts.tv_nsec) >= 1000000000) at.tv_nsec -= 1000000000, at.tv_sec++;
  struct timeval tv = {ts.tv_sec, ts.tv_nsec / 1000};
  start_at[me] = now();
  errno = 0;
  switch (me) {
    case 0: result[me] = nanosleep(&ts, NULL); break;
    case 1: result[me] = nanosleep(&ts, &rest); break;
    case 2: result[me] = clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL); break;
    case 3: result[me] = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL); break;
    case 4: result[me] = poll(NULL, 0, (int)(length * 1000 + 0.5)); break;
    case 5: result[me] = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0); break;
    case 6: result[me] = syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &at, NULL, FUTEX_BITSET_MATCH_ANY); break;
    case 7: result[me] = ppoll(NULL, 0, &ts, NULL); break;
    case 8: result[me] = select(0, NULL, NULL, NULL, &tv); break;
    case 9: result[me] = nanosleep(&ts, &ts); break;
    case 10: result[me] = clock_nanosleep(CLOCK_REALTIME, 0, &ts, NULL); break;
  }
  number[me] = errno;
  took[me] = now() - start_at[me];
  return NULL;
}

int main(void) {
  test_begin();
  want = 1.5;
  pthread_t threads[11];
  for (long i = 0; i < 11; i++) test_check(pthread_create(&threads[i], NULL, sleeper, (void *)i) == 0, "create");
  usleep(600000);
  test_ready();
  for (long i = 0; i < 11; i++) {
    pthread_join(threads[i], NULL);
    int times_out = i == 5 || i == 6;
    test_check(result[i] == (times_out ? -1 : 0), "sleep %ld answered %d, errno %d", i, result[i], number[i]);
    test_check(!times_out || number[i] == ETIMEDOUT, "sleep %ld: errno %d", i, number[i]);
    double error = took[i] - (want + i * 0.1);
    printf("sleep %ld: %+.4f s\n", i, error);
    test_check(error > -EARLY && error < LATE, "sleep %ld took %f s too long", i, error);
  }
  test_wait();
  test_pass();
}
