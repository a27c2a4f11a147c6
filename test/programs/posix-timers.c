/* Timers of timer_create keep their ids, clocks, values, times to go, and whom they tell. */
/* kmonte-shows: process/posix-timers */
#include "kmonte-test.h"
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>

static volatile int count[4];
static volatile pid_t told;

static void on_signal(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)context;
  int which = info->si_value.sival_int;
  if (info->si_code == SI_TIMER && which >= 0 && which < 4) count[which]++;
  told = syscall(SYS_gettid);
}

/* The kernel's own ids, past the C library's handles. */
static int make(clockid_t clock, int notify, int signal, long value, pid_t tid) {
  struct sigevent event = {.sigev_notify = notify, .sigev_signo = signal, .sigev_value.sival_ptr = (void *)value};
  event._sigev_un._tid = tid;
  int id;
  test_check(syscall(SYS_timer_create, clock, &event, &id) == 0, "timer_create");
  return id;
}

static void set(int id, double value, double interval) {
  struct itimerspec spec = {{(time_t)interval, (long)((interval - (time_t)interval) * 1e9)},
                            {(time_t)value, (long)((value - (time_t)value) * 1e9)}};
  test_check(syscall(SYS_timer_settime, id, 0, &spec, NULL) == 0, "timer_settime");
}

static double left(int id, double *interval) {
  struct itimerspec spec;
  test_check(syscall(SYS_timer_gettime, id, &spec) == 0, "timer %d is gone", id);
  if (interval) *interval = spec.it_interval.tv_sec + spec.it_interval.tv_nsec / 1e9;
  return spec.it_value.tv_sec + spec.it_value.tv_nsec / 1e9;
}

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec + ts.tv_nsec / 1e9;
}

static volatile pid_t other;
static volatile int stop;
static void *live(void *argument) {
  other = syscall(SYS_gettid);
  while (!stop) usleep(10000);
  return argument;
}

int main(void) {
  test_begin();
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGRTMIN, &action, NULL);
  sigaction(SIGRTMIN + 1, &action, NULL);
  pthread_t thread;
  pthread_create(&thread, NULL, live, NULL);
  while (!other) usleep(1000);
  int skipped = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0);
  int far = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 0, 0);
  int soon = make(CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN, 1, 0);
  test_check(syscall(SYS_timer_delete, skipped) == 0, "delete");
  int thread_id = make(CLOCK_BOOTTIME, SIGEV_THREAD_ID, SIGRTMIN + 1, 2, other);
  int cpu = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN, 3, 0);
  int silent = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0x123456789abcl, 0);
  int off = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 0, 0);
  set(far, 100, 7.5);
  set(soon, 0.05, 0.05);
  set(thread_id, 0.05, 0.05);
  set(cpu, 50, 0);
  set(silent, 200, 0);
  double start = now();
  test_ready_and_wait();
  double passed = now() - start, interval;
  double rest = left(far, &interval);
  test_check(rest + passed > 99.99 && rest + passed < 100.05, "%f s left after %f", rest, passed);
  test_check(interval == 7.5, "interval %f", interval);
  rest = left(silent, &interval);
  test_check(rest + passed > 199.99 && rest + passed < 200.05, "%f s left after %f", rest, passed);
  test_check(left(cpu, NULL) > 40 && left(cpu, NULL) <= 50, "%f s of CPU left", left(cpu, NULL));
  test_check(left(off, &interval) == 0, "a timer that was off");
  errno = 0;
  test_check(syscall(SYS_timer_delete, skipped) == -1 && errno == EINVAL, "a timer that was deleted");
  int one = count[1], two = count[2];
  for (int i = 0; i < 40; i++) usleep(10000);
  test_check(count[1] > one, "the timer of the wall clock stands still");
  test_check(count[2] > two, "the timer for a thread stands still");
  set(soon, 0, 0);
  told = 0;
  for (int i = 0; i < 20 && !told; i++) usleep(10000);
  test_check(told == other, "thread %d was told", told);
  test_check(count[0] == 0 && count[3] == 0, "others expired");
  stop = 1;
  test_pass();
}
