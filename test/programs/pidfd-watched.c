/* kmonte-shows: event/pidfd event/epoll */
/* A pidfd of a thread (PIDFD_THREAD), in an epoll set that tells of its end, and in one that has told. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

static volatile pid_t tid;
static volatile int go;

static void *one(void *argument) {
  tid = syscall(SYS_gettid);
  while (!go) usleep(1000);
  return argument;
}

int main(void) {
  test_begin();
  pthread_t thread;
  pthread_create(&thread, NULL, one, NULL);
  while (!tid) usleep(100);
  int of_thread = syscall(SYS_pidfd_open, tid, O_EXCL);
  if (of_thread < 0) { /* before Linux 6.9 */
    test_ready_and_wait();
    test_pass();
  }
  int set = epoll_create1(EPOLL_CLOEXEC), outer = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x123456789}, told;
  test_check(epoll_ctl(set, EPOLL_CTL_ADD, of_thread, &event) == 0, "epoll_ctl");
  test_check(epoll_ctl(outer, EPOLL_CTL_ADD, set, &event) == 0, "epoll_ctl");
  test_ready_and_wait();
  test_check(fcntl(of_thread, F_GETFL) & O_EXCL, "not of a thread");
  test_check(syscall(SYS_pidfd_send_signal, of_thread, 0, NULL, 0) == 0, "the thread is not there");
  test_check(epoll_wait(set, &told, 1, 0) == 0, "told too early");
  go = 1;
  test_check(epoll_wait(outer, &told, 1, 5000) == 1, "the outer set was not told");
  test_check(epoll_wait(set, &told, 1, 0) == 1 && told.data.u64 == 0x123456789, "not told");
  test_pass();
}
