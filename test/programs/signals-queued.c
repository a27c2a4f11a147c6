/* Blocked signals that are queued keep their order, their data and whom they are for; so does an alternate stack in use. */
/* kmonte-shows: process/signal-actions thread/signals */
#include "kmonte-test.h"
#include <pthread.h>
#include <sys/syscall.h>

static char stack[65536] __attribute__((aligned(64)));
static int order[16], values[16], arrived;
static volatile int on_stack_after, handled;

static void on_realtime(int signal, siginfo_t *info, void *context) {
  (void)context;
  order[arrived] = signal;
  values[arrived++] = info->si_value.sival_int;
}

static void on_alternate(int signal) {
  (void)signal;
  char here;
  stack_t now;
  test_ready();
  while (!test_told) usleep(10000);
  test_check(&here > stack && &here < stack + sizeof stack, "the handler is not on the alternate stack");
  test_check(sigaltstack(NULL, &now) == 0 && now.ss_flags == SS_ONSTACK, "flags %x", now.ss_flags);
  test_check(now.ss_sp == stack && now.ss_size == sizeof stack, "another alternate stack");
  on_stack_after = 1;
}

static volatile int look;
static int thread_pending = -1;
static void *other(void *argument) {
  sigset_t pending;
  while (!look) usleep(10000);
  sigpending(&pending);
  thread_pending = sigismember(&pending, SIGRTMIN + 9);
  return argument;
}

int main(void) {
  test_begin();
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  test_check(sigaltstack(&alternate, NULL) == 0, "sigaltstack");
  struct sigaction queue = {.sa_sigaction = on_realtime, .sa_flags = SA_SIGINFO};
  sigfillset(&queue.sa_mask);
  sigset_t blocked;
  sigemptyset(&blocked);
  for (int i = 0; i < 10; i++) {
    sigaction(SIGRTMIN + i, &queue, NULL);
    sigaddset(&blocked, SIGRTMIN + i);
  }
  sigaction(SIGUSR1, &queue, NULL);
  sigaddset(&blocked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  pthread_t thread;
  pthread_create(&thread, NULL, other, NULL);
  for (int i = 0; i < 6; i++) sigqueue(getpid(), SIGRTMIN + 5 - i / 2, (union sigval){.sival_int = 100 + i});
  sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 7});
  pthread_sigqueue(thread, SIGRTMIN + 9, (union sigval){.sival_int = 9});
  struct sigaction switched = {.sa_handler = on_alternate, .sa_flags = SA_ONSTACK};
  sigaction(SIGUSR2, &switched, NULL);
  raise(SIGUSR2);
  test_check(on_stack_after, "the handler has not returned");
  look = 1;
  pthread_join(thread, NULL);
  test_check(thread_pending == 1, "the signal of the thread is gone");
  sigprocmask(SIG_UNBLOCK, &blocked, NULL);
  int signals[] = {SIGUSR1, SIGRTMIN + 3, SIGRTMIN + 3, SIGRTMIN + 4, SIGRTMIN + 4, SIGRTMIN + 5, SIGRTMIN + 5};
  int data[] = {7, 104, 105, 102, 103, 100, 101};
  test_check(arrived == 7, "%d signals", arrived);
  /* Handlers mask all others, so they run one by one: the lowest first, each queue in its order. */
  for (int i = 0; i < 7; i++) {
    test_check(order[i] == signals[i] && values[i] == data[i], "signal %d: %d with %d", i, order[i], values[i]);
  }
  test_pass();
}
