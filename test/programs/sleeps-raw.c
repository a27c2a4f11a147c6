/* kmonte-shows: thread/interrupted-call */
/* Sleeps in a system call whose number no code before it tells (syscall(2)): a futex with a time, poll and nanosleep. */
#include "kmonte-test.h"
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum { SLEEPERS = 4, SECONDS = 6 };

int main(void) {
  test_begin();
  int *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), ends[2];
  test_check(pipe(ends) == 0, "pipe");
  pid_t children[SLEEPERS];
  struct timespec begin, now, time = {SECONDS, 0};
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (int i = 0; i < SLEEPERS; i++) {
    children[i] = fork();
    if (children[i] != 0) continue;
    struct pollfd one = {ends[0], POLLIN, 0};
    if (i == 0) _exit(syscall(SYS_futex, word, FUTEX_WAIT, 0, &time) == -1 && errno == ETIMEDOUT ? 0 : 1);
    if (i == 1) _exit(syscall(SYS_poll, &one, 1, SECONDS * 1000) == 0 ? 0 : 1);
    if (i == 2) _exit(syscall(SYS_nanosleep, &time, NULL) == 0 ? 0 : 1);
    _exit(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &time, NULL) == 0 ? 0 : 1);
  }
  usleep(200000);
  test_ready_and_wait();
  for (int i = 0; i < SLEEPERS; i++) {
    int status;
    test_check(waitpid(children[i], &status, 0) == children[i] && status == 0, "sleeper %d says %x", i, status);
  }
  clock_gettime(CLOCK_MONOTONIC, &now);
  test_check(now.tv_sec - begin.tv_sec >= SECONDS - 1 && now.tv_sec - begin.tv_sec <= SECONDS + 3, "slept %ld seconds", (long)(now.tv_sec - begin.tv_sec));
  test_pass();
}
