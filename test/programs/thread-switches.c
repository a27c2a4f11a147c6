/* kmonte-shows: thread/prctl-settings */
/* Each thread keeps its own switches: the time stamp counter, memory errors, speculation; and its attributes of scheduling. */
#include "kmonte-test.h"
#include <linux/prctl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static volatile int ready, look;
static int speculation;

struct attr {
  unsigned size, policy;
  unsigned long long flags;
  int nice;
  unsigned priority;
  unsigned long long runtime, deadline, period;
};

static void *other(void *argument) {
  test_check(prctl(PR_SET_TSC, PR_TSC_SIGSEGV) == 0, "PR_SET_TSC");
  test_check(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) == 0, "PR_MCE_KILL");
  speculation = prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0) == 0;
  __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
  while (!look) usleep(10000);
  int tsc = 0;
  test_check(prctl(PR_GET_TSC, &tsc) == 0 && tsc == PR_TSC_SIGSEGV, "TSC %d", tsc);
  test_check(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == PR_MCE_KILL_EARLY, "MCE %d", prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
  if (speculation) test_check(prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0) & PR_SPEC_DISABLE, "speculation");
  return argument;
}

static void *deadline(void *argument) {
  struct attr attr = {sizeof attr, 6, 1, 0, 0, 10000000, 30000000, 100000000};
  int set = syscall(SYS_sched_setattr, 0, &attr, 0) == 0;
  __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
  while (!look) usleep(10000);
  struct attr now = {0};
  test_check(syscall(SYS_sched_getattr, 0, &now, sizeof now, 0) == 0, "sched_getattr");
  test_check(!set || (now.policy == 6 && now.runtime == attr.runtime && now.deadline == attr.deadline && now.period == attr.period && now.flags == 1),
             "policy %u runtime %llu flags %llx", now.policy, now.runtime, now.flags);
  return argument;
}

int main(void) {
  test_begin();
  pthread_t threads[2];
  pthread_create(&threads[0], NULL, other, NULL);
  pthread_create(&threads[1], NULL, deadline, NULL);
  while (ready < 2) usleep(1000);
  test_ready_and_wait();
  int tsc = 0;
  test_check(prctl(PR_GET_TSC, &tsc) == 0 && tsc == PR_TSC_ENABLE, "TSC of the main thread");
  test_check(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == PR_MCE_KILL_DEFAULT, "MCE of the main thread");
  look = 1;
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  test_pass();
}
