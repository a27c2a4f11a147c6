/* Timers of every clock: for waking a machine, for CPU time of process and thread, silent ones, absolute ones, with gaps in their ids. */
#include "kmonte-test.h"
#include <sys/syscall.h>
#include <time.h>

static volatile int fired[32];
static void on_timer(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  fired[info->si_value.sival_int]++;
}

static int make(int clock, int notify, int number, double first, double interval, int flags) {
  struct sigevent event = {.sigev_notify = notify, .sigev_signo = SIGRTMIN + 1, .sigev_value.sival_int = number};
  if (notify == SIGEV_THREAD_ID) event._sigev_un._tid = getpid();
  int id = -1;
  if (syscall(SYS_timer_create, clock, &event, &id) != 0) return -1;
  struct itimerspec its = {{(time_t)interval, (long)((interval - (time_t)interval) * 1e9)}, {(time_t)first, (long)((first - (time_t)first) * 1e9)}};
  if (flags) {
    struct timespec now;
    clock_gettime(clock, &now);
    its.it_value.tv_sec += now.tv_sec;
    if ((its.it_value.tv_nsec += now.tv_nsec) >= 1000000000) its.it_value.tv_sec++, its.it_value.tv_nsec -= 1000000000;
  }
  test_check(syscall(SYS_timer_settime, id, flags, &its, 0) == 0, "timer_settime of %d", number);
  return id;
}

static double left(int id) {
  struct itimerspec its;
  test_check(syscall(SYS_timer_gettime, id, &its) == 0, "timer_gettime of %d", id);
  return its.it_value.tv_sec + its.it_value.tv_nsec / 1e9;
}

int main(void) {
  test_begin();
  struct sigaction action = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGRTMIN + 1, &action, NULL);
  int ids[16], gap = make(CLOCK_MONOTONIC, SIGEV_NONE, 30, 100, 0, 0);
  ids[0] = make(CLOCK_REALTIME, SIGEV_SIGNAL, 0, 1.0, 0, 0);
  ids[1] = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, 1, 1.0, 0, TIMER_ABSTIME);
  ids[2] = make(CLOCK_BOOTTIME, SIGEV_THREAD_ID, 2, 1.0, 0, 0);
  ids[3] = make(CLOCK_REALTIME_ALARM, SIGEV_SIGNAL, 3, 1.0, 0, 0);
  ids[4] = make(CLOCK_BOOTTIME_ALARM, SIGEV_SIGNAL, 4, 1.0, 0, 0);
  ids[5] = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, 5, 50, 3, 0);
  ids[6] = make(CLOCK_THREAD_CPUTIME_ID, SIGEV_SIGNAL, 6, 60, 0, 0);
  ids[7] = make(CLOCK_MONOTONIC, SIGEV_NONE, 7, 40, 2, 0);
  ids[8] = make(CLOCK_TAI, SIGEV_SIGNAL, 8, 1.0, 0, 0);
  ids[9] = make(CLOCK_REALTIME, SIGEV_SIGNAL, 9, 30, 0, TIMER_ABSTIME);
  syscall(SYS_timer_delete, gap);
  test_check(ids[0] >= 0 && ids[9] >= 0, "timers");
  test_ready_and_wait();
  test_check(ids[5] < 0 || (left(ids[5]) > 49 && left(ids[5]) <= 50), "CPU time of the process: %f", left(ids[5]));
  test_check(ids[6] < 0 || (left(ids[6]) > 59 && left(ids[6]) <= 60), "CPU time of the thread: %f", left(ids[6]));
  test_check(left(ids[7]) > 30 && left(ids[7]) <= 40, "the silent one: %f", left(ids[7]));
  test_check(left(ids[9]) > 10 && left(ids[9]) <= 30.01, "the absolute one: %f", left(ids[9]));
  errno = 0;
  struct itimerspec its;
  test_check(syscall(SYS_timer_gettime, gap, &its) == -1 && errno == EINVAL, "the gap is filled");
  for (int tries = 0; tries < 300; tries++) usleep(10000);
  for (int i = 0; i < 9; i++)
    if (i < 5 || i == 8) test_check(ids[i] < 0 || fired[i] == 1, "timer %d fired %d times", i, fired[i]);
  for (int i = 5; i < 8; i++) test_check(fired[i] == 0, "timer %d fired", i);
  test_pass();
}
