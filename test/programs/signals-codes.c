/* Signals keep all that came with them, whoever sent them and whatever for: to the process and to each thread. */
#include "kmonte-test.h"
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define MOST 64
static siginfo_t sent[3][MOST];
static int counts[3];
static volatile int look, ready;
static sigset_t all;

static void queue(int who, int tid, int signal, int code, long a, long b) {
  siginfo_t *info = &sent[who][counts[who]++];
  memset(info, 0, sizeof *info);
  info->si_signo = signal;
  info->si_code = code;
  info->si_pid = (int)a;
  info->si_uid = (int)b;
  info->si_value.sival_ptr = (void *)(a << 20 | b);
  if (signal == SIGSEGV || signal == SIGBUS) info->si_addr = (void *)(a << 32 | b);
  if (signal == SIGCHLD) info->si_status = 77, info->si_utime = 123, info->si_stime = 456;
  int result = tid ? syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, signal, info) : syscall(SYS_rt_sigqueueinfo, getpid(), signal, info);
  test_check(result == 0, "queueing %d with code %d", signal, code);
}

static void fill(int who, int tid) {
  const int codes[] = {SI_USER, SI_QUEUE, SI_TIMER, SI_MESGQ, SI_ASYNCIO, SI_SIGIO};
  for (int i = 0; i < 6; i++) queue(who, tid, SIGRTMIN + 3 + i % 3, codes[i], 100 + i, 200 + who);
  queue(who, tid, SIGSEGV, SEGV_MAPERR, 0x1234, 0x5678);
  queue(who, tid, SIGBUS, BUS_ADRALN, 0x1111, 0x2222);
  queue(who, tid, SIGCHLD, CLD_EXITED, 4242, 1000);
  queue(who, tid, SIGIO, POLL_IN, 7, 8);
  queue(who, tid, SIGUSR1, SI_USER, 31337, 65534);
}

/* Lowest signals first, each queue in its order. */
static void take(int who) {
  struct timespec none = {0, 0};
  int left = counts[who];
  char done[MOST] = {0};
  while (left > 0) {
    siginfo_t got;
    memset(&got, 0, sizeof got);
    int signal = sigtimedwait(&all, &got, &none), found = -1;
    test_check(signal > 0, "%d signals of %d are missing", left, who);
    for (int i = 0; i < counts[who] && found < 0; i++)
      if (!done[i] && sent[who][i].si_signo == signal) found = i;
    test_check(found >= 0, "queue %d: signal %d came too often", who, signal);
    test_check(memcmp(&got, &sent[who][found], 48) == 0, "queue %d: signal %d code %d, not %d: %d %d", who, signal, got.si_code,
               sent[who][found].si_code, got.si_pid, got.si_uid);
    done[found] = 1;
    left--;
  }
}

static void *other(void *argument) {
  int me = (int)(long)argument;
  fill(me, syscall(SYS_gettid));
  __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
  while (look != me) usleep(10000);
  take(me);
  return argument;
}

int main(void) {
  test_begin();
  sigfillset(&all);
  sigdelset(&all, SIGTERM);
  sigprocmask(SIG_BLOCK, &all, NULL);
  pthread_t threads[2];
  pthread_create(&threads[0], NULL, other, (void *)1);
  pthread_create(&threads[1], NULL, other, (void *)2);
  while (ready < 2) usleep(1000);
  fill(0, 0);
  test_ready_and_wait();
  /* A thread takes its own before those of the process. */
  for (int i = 1; i <= 2; i++) {
    look = i;
    pthread_join(threads[i - 1], NULL);
  }
  take(0);
  sigset_t pending;
  sigpending(&pending);
  for (int i = 1; i <= 64; i++) test_check(i == SIGTERM || sigismember(&pending, i) != 1, "signal %d came again", i);
  test_pass();
}
