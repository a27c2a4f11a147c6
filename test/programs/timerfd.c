/* A timerfd keeps its time to go and its interval. */
/* kmonte-shows: event/timerfd */
#include "kmonte-test.h"
#include <stdint.h>
#include <sys/timerfd.h>
#include <time.h>

int main(void) {
  test_begin();
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct itimerspec set = {.it_value = {100, 0}, .it_interval = {7, 5000}};
  test_check(timerfd_settime(fd, 0, &set, NULL) == 0, "settime");
  int fired = timerfd_create(CLOCK_BOOTTIME, 0);
  struct itimerspec soon = {.it_value = {0, 1000000}, .it_interval = {0, 1000000}};
  test_check(timerfd_settime(fired, 0, &soon, NULL) == 0, "settime");
  usleep(50000);
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  test_ready_and_wait();
  clock_gettime(CLOCK_MONOTONIC, &end);
  struct itimerspec now;
  test_check(timerfd_gettime(fd, &now) == 0, "gettime");
  double passed = (end.tv_sec - start.tv_sec) + (end.tv_nsec - start.tv_nsec) / 1e9;
  double left = now.it_value.tv_sec + now.it_value.tv_nsec / 1e9;
  test_check(passed >= 0 && passed < 60, "the clock went %f seconds", passed);
  test_check(left + passed > 99.8 && left + passed < 100.3, "%f seconds are left after %f", left, passed);
  test_check(now.it_interval.tv_sec == 7 && now.it_interval.tv_nsec == 5000, "the interval");
  uint64_t ticks = 0;
  test_check(read(fired, &ticks, sizeof ticks) == sizeof ticks && ticks >= 40, "%lu ticks", ticks);
  test_pass();
}
