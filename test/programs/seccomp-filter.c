/* Filters of system calls stay in force, each thread its own, also for one that has no right to install any. */
/* kmonte-shows: security/seccomp */
#include "kmonte-test.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void forbid(int number, int error) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  test_check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0, "seccomp");
}

static volatile int ready, look;
static void *other(void *argument) {
  forbid(SYS_getpriority, 77);
  /* Even what kmonte itself would want to do in here. */
  forbid(SYS_sigaltstack, 78);
  forbid(SYS_munmap, 79);
  ready = 1;
  while (!look) usleep(10000);
  errno = 0;
  test_check(syscall(SYS_getpriority, 0, 0) == -1 && errno == 77, "the filter of the thread is gone");
  test_check(syscall(SYS_munmap, 0, 4096) == -1 && errno == 79, "its third filter is gone");
  test_check(syscall(SYS_getppid) == -1 && errno == 42, "the filter from before is gone");
  return argument;
}

int main(void) {
  test_begin();
  forbid(SYS_getppid, 42); /* by the right of CAP_SYS_ADMIN, without no_new_privs */
  pthread_t thread;
  test_check(pthread_create(&thread, NULL, other, NULL) == 0, "create");
  while (!ready) usleep(1000);
  test_ready_and_wait();
  errno = 0;
  test_check(syscall(SYS_getppid) == -1 && errno == 42, "the filter is gone");
  test_check(syscall(SYS_getpriority, 0, 0) > 0, "the filter of another thread");
  test_check(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0, "no_new_privs has come up");
  test_check(prctl(PR_GET_SECCOMP) == 2, "seccomp mode");
  look = 1;
  pthread_join(thread, NULL);
  test_pass();
}
