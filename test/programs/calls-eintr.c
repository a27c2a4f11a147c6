/* Calls that answer EINTR to any interruption do not answer it for a freeze, and then do what they were to do. */
#include "kmonte-test.h"
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <time.h>

static int event, set;
static volatile int done;
static const char *const names[] = {"epoll_wait", "epoll_pwait", "sigtimedwait", "sigwaitinfo", "epoll_wait with a time"};

static void *wait_in(void *argument) {
  long me = (long)argument;
  sigset_t usr;
  sigemptyset(&usr);
  sigaddset(&usr, me == 2 ? SIGRTMIN + 2 : SIGRTMIN + 3);
  siginfo_t info;
  struct epoll_event got;
  struct timespec minute = {60, 0};
  int result = -2, wanted = 1;
  switch (me) {
    case 0: result = epoll_wait(set, &got, 1, -1); break;
    case 1: result = epoll_pwait(set, &got, 1, -1, &usr); break;
    case 2: result = sigtimedwait(&usr, &info, &minute); wanted = SIGRTMIN + 2; break;
    case 3: result = sigwaitinfo(&usr, &info); wanted = SIGRTMIN + 3; break;
    case 4: result = epoll_wait(set, &got, 1, 60000); break;
  }
  test_check(result == wanted, "%s answered %d", names[me], result);
  if (me == 2 || me == 3) test_check(info.si_value.sival_int == 100 + me, "%s got %d", names[me], info.si_value.sival_int);
  __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
  return NULL;
}

int main(void) {
  test_begin();
  sigset_t realtime;
  sigemptyset(&realtime);
  sigaddset(&realtime, SIGRTMIN + 2);
  sigaddset(&realtime, SIGRTMIN + 3);
  sigprocmask(SIG_BLOCK, &realtime, NULL);
  event = eventfd(0, 0);
  set = epoll_create1(0);
  struct epoll_event interest = {.events = EPOLLIN};
  test_check(epoll_ctl(set, EPOLL_CTL_ADD, event, &interest) == 0, "epoll_ctl");
  pthread_t threads[5];
  for (long i = 0; i < 5; i++) test_check(pthread_create(&threads[i], NULL, wait_in, (void *)i) == 0, "create");
  usleep(200000);
  test_ready_and_wait();
  test_check(done == 0, "%d calls ended", done);
  test_check(eventfd_write(event, 1) == 0, "eventfd");
  for (long i = 2; i < 4; i++) {
    union sigval value = {.sival_int = 100 + i};
    test_check(pthread_sigqueue(threads[i], SIGRTMIN + i, value) == 0, "sigqueue");
  }
  for (long i = 0; i < 5; i++) pthread_join(threads[i], NULL);
  test_pass();
}
