/* kmonte-refuses: TIME_NAMESPACE */
/* The children of one thread will have other clocks than those of the other one, and the kernel says nothing about which. */
#include "kmonte-test.h"
#include <pthread.h>
#include <sched.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static void *idle(void *unused) {
  for (;;) pause();
  return unused;
}

int main(void) {
  test_begin();
  pthread_t thread;
  test_check(pthread_create(&thread, NULL, idle, NULL) == 0, "thread");
  test_check(unshare(CLONE_NEWTIME) == 0, "unshare");
  test_ready_and_wait();
  test_pass();
}
