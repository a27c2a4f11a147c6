/* kmonte-shows: namespace/membership */
/*
 * Processes with several clocks (time_namespaces(7)): one whose children have others, a child in that time namespace with
 * a sleep, a timer and a deadline, and a grandchild that has gone back to the first.
 */
#include "kmonte-test.h"
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

#define AHEAD 1000000

static double now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static struct itimerspec at(double when) {
  return (struct itimerspec){.it_value = {.tv_sec = (long)when, .tv_nsec = (when - (long)when) * 1e9}};
}

/* Wakes at a moment of its own clock, and says how late. */
static double deadline(double when) {
  struct itimerspec time = at(when);
  int fd = timerfd_create(CLOCK_MONOTONIC, 0);
  test_check(timerfd_settime(fd, TFD_TIMER_ABSTIME, &time, NULL) == 0, "timerfd");
  struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
  while (poll(&poll_fd, 1, 10000) < 0) continue;
  return now(CLOCK_MONOTONIC) - when;
}

static int in_child(int home, int ready, double begun) {
  if (fork() == 0) {
    test_check(setns(home, CLONE_NEWTIME) == 0, "setns");
    test_check(write(ready, "x", 1) == 1, "ready");
    test_wait();
    _exit(now(CLOCK_MONOTONIC) - begun < AHEAD / 2 ? 0 : 1);
  }
  int timer = timerfd_create(CLOCK_MONOTONIC, 0);
  struct itimerspec later = at(now(CLOCK_MONOTONIC) + 3);
  timerfd_settime(timer, TFD_TIMER_ABSTIME, &later, NULL);
  double before = now(CLOCK_MONOTONIC);
  test_check(write(ready, "x", 1) == 1, "ready");
  test_wait();
  double after = now(CLOCK_MONOTONIC);
  if (after < before || after > before + 120) return 2;
  if (after - begun < AHEAD - 1 || now(CLOCK_BOOTTIME) < 2 * AHEAD) return 3;
  struct pollfd poll_fd = {.fd = timer, .events = POLLIN};
  if (poll(&poll_fd, 1, 20000) != 1 || now(CLOCK_MONOTONIC) < before + 2.9) return 4;
  if (deadline(now(CLOCK_MONOTONIC) + 0.2) > 5) return 5;
  kill(0, SIGTERM);
  int status;
  return wait(&status) > 0 ? 10 * WEXITSTATUS(status) : 6;
}

int main(void) {
  test_begin();
  signal(SIGCHLD, SIG_DFL);
  int home = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC), ready[2];
  double begun = now(CLOCK_MONOTONIC);
  test_check(pipe(ready) == 0 && unshare(CLONE_NEWTIME) == 0, "unshare");
  int fd = open("/proc/self/timens_offsets", O_WRONLY);
  const char offsets[] = "monotonic 1000000 0\nboottime 2000000 500000000\n";
  test_check(fd >= 0 && write(fd, offsets, strlen(offsets)) > 0 && close(fd) == 0, "offsets");
  pid_t child = fork();
  if (child == 0) {
    setpgid(0, 0);
    _exit(in_child(home, ready[1], begun));
  }
  char byte;
  close(home);
  test_check(read(ready[0], &byte, 1) == 1 && read(ready[0], &byte, 1) == 1, "both");
  test_ready_and_wait();
  double after = now(CLOCK_MONOTONIC);
  test_check(after > begun && after < begun + 120, "its own clock says %f after %f", after, begun);
  int status;
  kill(child, SIGTERM);
  test_check(waitpid(child, &status, 0) == child && status == 0, "the child says %d", WEXITSTATUS(status));
  child = fork();
  if (child == 0) _exit(now(CLOCK_MONOTONIC) > begun + AHEAD - 1 ? 0 : 1);
  test_check(waitpid(child, &status, 0) == child && status == 0, "the next child has other clocks");
  test_pass();
}
