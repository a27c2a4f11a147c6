/* Robust and priority-inheriting locks that are held and waited for: owners keep them, waiters get them, the dead leave them. */
#include "kmonte-test.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

static pthread_mutex_t *plain, *inherit, *robust, *robust_inherit;
static volatile int go, got[8];
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static pthread_mutex_t *make(int protocol, int robustness) {
  pthread_mutex_t *mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutexattr_t attr;
  pthread_mutexattr_init(&attr);
  pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setprotocol(&attr, protocol);
  pthread_mutexattr_setrobust(&attr, robustness);
  pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
  test_check(pthread_mutex_init(mutex, &attr) == 0, "mutex");
  return mutex;
}

static void *waiter(void *argument) {
  int me = (int)(long)argument;
  pthread_mutex_t *mutex = me == 0 ? plain : inherit;
  got[me] = pthread_mutex_lock(mutex) == 0 ? 1 : -1;
  pthread_mutex_unlock(mutex);
  return argument;
}

static void *sleeper(void *argument) {
  pthread_mutex_lock(plain);
  while (!go) pthread_cond_wait(&cond, plain);
  got[2] = 1;
  pthread_mutex_unlock(plain);
  return argument;
}

int main(void) {
  test_begin();
  plain = make(PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
  inherit = make(PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_STALLED);
  robust = make(PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST);
  robust_inherit = make(PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_ROBUST);
  pthread_t threads[3];
  pthread_create(&threads[2], NULL, sleeper, NULL);
  usleep(30000);
  pthread_mutex_lock(plain);
  pthread_mutex_lock(inherit);
  pthread_create(&threads[0], NULL, waiter, (void *)0);
  pthread_create(&threads[1], NULL, waiter, (void *)1);
  pid_t holder = fork();
  if (holder == 0) {
    pthread_mutex_lock(robust);
    pthread_mutex_lock(robust_inherit);
    got[3] = 1;
    for (;;) pause();
  }
  usleep(100000);
  test_ready_and_wait();
  usleep(50000);
  test_check(!got[0] && !got[1] && !got[2], "a lock was given too early");
  test_check(pthread_mutex_lock(plain) == EDEADLK && pthread_mutex_lock(inherit) == EDEADLK, "this thread is not the owner");
  test_check(pthread_mutex_trylock(robust) == EBUSY && pthread_mutex_trylock(robust_inherit) == EBUSY, "the child is not the owner");
  go = 1;
  pthread_cond_signal(&cond);
  test_check(pthread_mutex_unlock(plain) == 0 && pthread_mutex_unlock(inherit) == 0, "unlock");
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  test_check(got[0] == 1 && got[1] == 1 && got[2] == 1, "%d %d %d", got[0], got[1], got[2]);
  kill(holder, SIGKILL);
  waitpid(holder, NULL, 0);
  test_check(pthread_mutex_lock(robust) == EOWNERDEAD, "the robust lock");
  test_check(pthread_mutex_lock(robust_inherit) == EOWNERDEAD, "the robust lock with inheritance");
  test_pass();
}
