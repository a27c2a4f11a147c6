/* kmonte-shows: process/posix-timers */
/* A timer whose signal waits to be taken sends no second one, and counts its further expirations as overruns. */
#include "kmonte-test.h"
#include <time.h>

static timer_t make(int signal, int value, long milliseconds) {
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = signal, .sigev_value.sival_int = value};
  struct itimerspec every = {{0, milliseconds * 1000000}, {0, milliseconds * 1000000}};
  test_check(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create");
  test_check(timer_settime(timer, 0, &every, NULL) == 0, "timer_settime");
  return timer;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

int main(void) {
  test_begin();
  sigset_t all;
  sigemptyset(&all);
  for (int i = 0; i < 3; i++) sigaddset(&all, SIGRTMIN + i);
  sigprocmask(SIG_BLOCK, &all, NULL);
  timer_t quick = make(SIGRTMIN, 100, 10), slow = make(SIGRTMIN + 1, 200, 40);
  struct itimerspec once = {{0, 0}, {0, 5000000}};
  timer_t single;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2, .sigev_value.sival_int = 300};
  test_check(timer_create(CLOCK_BOOTTIME, &event, &single) == 0 && timer_settime(single, 0, &once, NULL) == 0, "once");
  usleep(60000);
  test_ready();
  double ready = now();
  test_wait();
  usleep(200000);
  for (int i = 0; i < 3; i++) {
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGRTMIN + i);
    siginfo_t info;
    test_check(sigwaitinfo(&one, &info) == SIGRTMIN + i && info.si_code == SI_TIMER, "signal %d: code %d", i, info.si_code);
    test_check(info.si_value.sival_int == 100 * (i + 1), "signal %d: value %d", i, info.si_value.sival_int);
    int overrun = timer_getoverrun(i == 0 ? quick : i == 1 ? slow : single);
    double most = (now() - ready + 100) / (i == 0 ? 10 : 40) + 2;
    test_check(overrun == info.si_overrun, "signal %d: %d and %d overruns", i, overrun, info.si_overrun);
    /* Those of the time since the thaw, at the least. */
    int least = i == 0 ? 15 : i == 1 ? 3 : 0;
    test_check(overrun >= least && overrun <= (i == 2 ? 0 : most), "signal %d: %d overruns, at most %f", i, overrun, most);
  }
  /* The next one is no leftover. */
  test_check(timer_delete(quick) == 0 && timer_delete(slow) == 0, "timer_delete");
  siginfo_t info;
  struct timespec none = {0, 0};
  int extra = 0;
  for (int i = 0; i < 3; i++)
    while (sigtimedwait(&all, &info, &none) > 0) extra++;
  test_check(extra <= 1, "%d signals more", extra);
  test_pass();
}
