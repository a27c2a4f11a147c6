/* Periodic timers so short that they expire at any moment of a freeze; they go on. */
/* kmonte-shows: event/timerfd */
#include "kmonte-test.h"
#include <poll.h>
#include <stdint.h>
#include <sys/timerfd.h>

#define COUNT 64

int main(void) {
  test_begin();
  int fds[COUNT];
  uint64_t ticks;
  for (int i = 0; i < COUNT; i++) {
    struct itimerspec setting = {{0, 40000 + i * 2000}, {0, 40000 + i * 2000}};
    fds[i] = timerfd_create(i % 2 ? CLOCK_MONOTONIC : CLOCK_BOOTTIME, 0);
    test_check(fds[i] >= 0 && timerfd_settime(fds[i], 0, &setting, NULL) == 0, "timer %d", i);
  }
  test_ready_and_wait();
  for (int i = 0; i < COUNT; i++)
    for (int time = 0; time < 3; time++) {
      struct pollfd one = {.fd = fds[i], .events = POLLIN};
      test_check(poll(&one, 1, 2000) == 1 && read(fds[i], &ticks, 8) == 8 && ticks > 0, "timer %d has stopped", i);
    }
  test_pass();
}
