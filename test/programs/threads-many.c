/* A thousand threads, each with a name, a mask and memory of its own. */
#include "kmonte-test.h"
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define THREADS 1000
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static int go, ready;
static __thread long local;

static void *work(void *argument) {
  long me = (long)argument;
  char name[16], now[16];
  sigset_t mine, mask;
  snprintf(name, sizeof name, "t%ld", me);
  prctl(PR_SET_NAME, name);
  sigemptyset(&mine);
  sigaddset(&mine, SIGRTMIN + me % 20);
  pthread_sigmask(SIG_SETMASK, &mine, NULL);
  pid_t tid = syscall(SYS_gettid);
  local = me;
  pthread_mutex_lock(&lock);
  ready++;
  while (!go) pthread_cond_wait(&wake, &lock);
  pthread_mutex_unlock(&lock);
  prctl(PR_GET_NAME, now);
  pthread_sigmask(SIG_SETMASK, NULL, &mask);
  test_check(strcmp(name, now) == 0 && tid == syscall(SYS_gettid) && local == me, "thread %ld", me);
  test_check(sigismember(&mask, SIGRTMIN + me % 20) && !sigismember(&mask, SIGRTMIN + (me + 1) % 20), "mask of %ld", me);
  return NULL;
}

int main(void) {
  test_begin();
  static pthread_t threads[THREADS];
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  for (long i = 0; i < THREADS; i++) test_check(pthread_create(&threads[i], &small, work, (void *)i) == 0, "create %ld", i);
  while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) < THREADS) usleep(1000);
  test_ready_and_wait();
  pthread_mutex_lock(&lock);
  go = 1;
  pthread_cond_broadcast(&wake);
  pthread_mutex_unlock(&lock);
  for (long i = 0; i < THREADS; i++) test_check(pthread_join(threads[i], NULL) == 0, "join");
  test_pass();
}
