/* A repeating timer goes on although its signal stands in the queue at the time of the freeze. */
/* kmonte-shows: process/interval-timers */
#include "kmonte-test.h"
#include <sys/time.h>

static volatile sig_atomic_t ticks;
static void on_alarm(int signal) { (void)signal; ticks++; }

int main(void) {
  test_begin();
  signal(SIGALRM, on_alarm);
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  sigprocmask(SIG_BLOCK, &alarm, NULL);
  struct itimerval every = {{0, 10000}, {0, 10000}};
  test_check(setitimer(ITIMER_REAL, &every, NULL) == 0, "setitimer");
  usleep(50000); /* it has fired, and nobody took the signal */
  test_ready_and_wait();
  sigset_t pending;
  sigpending(&pending);
  test_check(sigismember(&pending, SIGALRM), "the signal is queued");
  sigprocmask(SIG_UNBLOCK, &alarm, NULL);
  for (int i = 0; i < 100 && ticks < 5; i++) usleep(10000);
  test_check(ticks >= 5, "%d ticks", ticks);
  struct itimerval now;
  getitimer(ITIMER_REAL, &now);
  test_check(now.it_interval.tv_usec == 10000 && now.it_interval.tv_sec == 0, "the interval");
  test_pass();
}
