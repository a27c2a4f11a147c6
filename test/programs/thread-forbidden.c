/* kmonte-needs: root */
/* kmonte-shows: security/credentials thread/scheduling process/attributes */
/* What is kept though it could not be made as it is: ambient rights that may not be raised any more, a nice value below a policy in real time, ids of timers, huge pages where asked for only. */
#include "kmonte-test.h"
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#define PR_TIMER_IDS 77
#define PR_FUTEX 78

int main(void) {
  test_begin();
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct caps[2];
  test_check(syscall(SYS_capget, &header, caps) == 0, "capget");
  caps[0].inheritable = 1 << CAP_KILL | 1 << CAP_CHOWN;
  test_check(syscall(SYS_capset, &header, caps) == 0, "capset");
  test_check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0) == 0, "ambient");
  int forbidden = SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  test_check(prctl(PR_SET_SECUREBITS, forbidden, 0, 0, 0) == 0, "securebits");
  struct sched_param fifo = {.sched_priority = 3}, none = {0};
  test_check(setpriority(PRIO_PROCESS, 0, 7) == 0 && sched_setscheduler(0, SCHED_FIFO, &fifo) == 0, "SCHED_FIFO");
  prctl(PR_SET_THP_DISABLE, 1, 2, 0, 0); /* but where advised: Linux 6.18 */
  prctl(PR_TIMER_IDS, 1, 0, 0, 0);
  prctl(PR_FUTEX, 1, 64, 0, 0);
  int pages = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), ids = prctl(PR_TIMER_IDS, 2, 0, 0, 0), slots = prctl(PR_FUTEX, 2, 0, 0, 0);
  int wanted = 4711;
  if (ids == 1) test_check(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &wanted) == 0 && wanted == 4711, "timer");
  printf("pages %d ids %d slots %d\n", pages, ids, slots);
  test_ready_and_wait();
  test_check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0) == 1, "no ambient right");
  test_check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0) == 0, "an ambient right too many");
  test_check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0) == -1, "ambient rights can be raised");
  test_check(prctl(PR_GET_SECUREBITS) == forbidden, "securebits %x", prctl(PR_GET_SECUREBITS));
  test_check(sched_getscheduler(0) == SCHED_FIFO && sched_setscheduler(0, SCHED_OTHER, &none) == 0, "policy");
  test_check(getpriority(PRIO_PROCESS, 0) == 7, "nice %d", getpriority(PRIO_PROCESS, 0));
  test_check(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == pages, "huge pages %d", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
  test_check(prctl(PR_FUTEX, 2, 0, 0, 0) == slots, "slots %d", prctl(PR_FUTEX, 2, 0, 0, 0));
  test_check(prctl(PR_TIMER_IDS, 2, 0, 0, 0) == ids, "timer ids");
  wanted = 4712;
  if (ids == 1) test_check(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &wanted) == 0 && wanted == 4712, "timer");
  test_pass();
}
