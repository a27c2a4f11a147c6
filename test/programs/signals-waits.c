/* Waits that change the signal mask for their time go on, and take it back: sigsuspend, sigwaitinfo, ppoll, pselect, epoll_pwait. */
#include "kmonte-test.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>

static volatile int handled[8], returned[8], numbers[8], mask_right[8];
static pthread_t threads[7];
static volatile pid_t tids[7];

static __thread int me;
static void on_usr1(int signal) {
  (void)signal;
  handled[me]++;
}

static void *waiter(void *argument) {
  me = (int)(long)argument;
  sigset_t usual, during, now, only;
  sigemptyset(&usual);
  sigaddset(&usual, SIGUSR1);
  sigaddset(&usual, SIGUSR2);
  sigaddset(&usual, SIGTERM);
  pthread_sigmask(SIG_SETMASK, &usual, NULL);
  during = usual;
  sigdelset(&during, SIGUSR1);
  sigemptyset(&only);
  sigaddset(&only, SIGUSR1);
  struct timespec long_time = {100, 0};
  siginfo_t info;
  struct epoll_event event;
  int epoll = epoll_create1(0);
  tids[me] = syscall(SYS_gettid);
  int result = 0;
  errno = 0;
  switch (me) {
    case 0: result = sigsuspend(&during); break;
    case 1: result = sigwaitinfo(&only, &info); break;
    case 2: result = sigtimedwait(&only, &info, &long_time); break;
    case 3: result = ppoll(NULL, 0, &long_time, &during); break;
    case 4: result = pselect(0, NULL, NULL, NULL, NULL, &during); break;
    case 5: result = epoll_pwait(epoll, &event, 1, 100000, &during); break;
    case 6: result = ppoll(NULL, 0, NULL, &during); break;
  }
  numbers[me] = errno;
  returned[me] = result ? result : 1000;
  pthread_sigmask(SIG_SETMASK, NULL, &now);
  mask_right[me] = sigismember(&now, SIGUSR1) && sigismember(&now, SIGUSR2) && sigismember(&now, SIGTERM) && !sigismember(&now, SIGHUP);
  return argument;
}

int main(void) {
  test_begin();
  struct sigaction action = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  for (long i = 0; i < 7; i++) pthread_create(&threads[i], NULL, waiter, (void *)i);
  usleep(100000);
  test_ready_and_wait();
  usleep(50000);
  for (int i = 0; i < 7; i++) {
    test_check(returned[i] == 0, "wait %d has ended: %d, errno %d", i, returned[i], numbers[i]);
    pthread_kill(threads[i], SIGUSR2);
  }
  usleep(50000);
  for (int i = 0; i < 7; i++) {
    test_check(returned[i] == 0, "wait %d has ended by a blocked signal", i);
    pthread_kill(threads[i], SIGUSR1);
  }
  for (int i = 0; i < 7; i++) {
    pthread_join(threads[i], NULL);
    int takes = i == 1 || i == 2;
    test_check(handled[i] == !takes, "wait %d: handled %d times", i, handled[i]);
    test_check(takes ? returned[i] == SIGUSR1 : returned[i] == -1 && numbers[i] == EINTR, "wait %d: %d, errno %d", i, returned[i], numbers[i]);
    test_check(mask_right[i], "wait %d: the mask is not back", i);
  }
  test_pass();
}
