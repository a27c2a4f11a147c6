/* SIGTRAP is as any other signal: its handler stays, in a program with threads too, and one that waits is still there. */
#include "kmonte-test.h"
#include <pthread.h>

static volatile int handled, look;
static void on_trap(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  handled += info->si_code == SI_QUEUE ? 10 : 1;
}

static void *other(void *argument) {
  sigset_t trap, pending;
  sigemptyset(&trap);
  sigaddset(&trap, SIGTRAP);
  pthread_sigmask(SIG_BLOCK, &trap, NULL);
  pthread_sigqueue(pthread_self(), SIGTRAP, (union sigval){.sival_int = 3});
  look = 1;
  while (look < 2) usleep(10000);
  sigpending(&pending);
  test_check(sigismember(&pending, SIGTRAP), "SIGTRAP is gone");
  pthread_sigmask(SIG_UNBLOCK, &trap, NULL);
  return argument;
}

int main(void) {
  test_begin();
  struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO}, now;
  sigaction(SIGTRAP, &action, NULL);
  pthread_t thread;
  pthread_create(&thread, NULL, other, NULL);
  while (!look) usleep(1000);
  test_ready_and_wait();
  sigaction(SIGTRAP, NULL, &now);
  test_check(now.sa_sigaction == on_trap, "the handler is gone");
  __asm__ volatile("int3");
  test_check(handled == 1, "handled %d", handled);
  look = 2;
  pthread_join(thread, NULL);
  test_check(handled == 11, "handled %d", handled);
  test_pass();
}
