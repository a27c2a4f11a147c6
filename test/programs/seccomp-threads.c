/* Filters that threads have in common let a later one be given to all; a thread in strict mode is still in it. */
#include "kmonte-test.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int deny(int number, int error, int flags) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {4, code};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static volatile int look, ready;
static int gate[2];

static void *other(void *argument) {
  __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
  while (!look) usleep(10000);
  errno = 0;
  test_check(syscall(SYS_uname, 0) == -1 && errno == 77, "the first filter: errno %d", errno);
  errno = 0;
  test_check(syscall(SYS_sysinfo, 0) == -1 && errno == 78, "the later filter: errno %d", errno);
  return argument;
}

static void *own(void *argument) {
  test_check(deny(SYS_getpriority, 79, 0) == 0, "a filter of its own");
  __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
  while (!look) usleep(10000);
  errno = 0;
  test_check(syscall(SYS_getpriority, 0, 0) == -1 && errno == 79, "its own filter: errno %d", errno);
  return argument;
}

int main(void) {
  test_begin();
  test_check(pipe(gate) == 0, "pipe");
  pid_t strict = fork();
  if (strict == 0) {
    char byte;
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    syscall(SYS_read, gate[0], &byte, 1);
    if (byte == 'x') syscall(SYS_getpid);
    syscall(SYS_exit, 1);
  }
  pid_t apart = fork();
  if (apart == 0) {
    pthread_t thread;
    pthread_create(&thread, NULL, own, NULL);
    while (!test_told) usleep(10000);
    test_check(syscall(SYS_getpriority, 0, 0) >= 0, "the filter of another");
    look = 1;
    pthread_join(thread, NULL);
    _exit(6);
  }
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, other, NULL);
  while (ready < 2) usleep(1000);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  test_check(deny(SYS_uname, 77, SECCOMP_FILTER_FLAG_TSYNC) == 0, "the first filter");
  usleep(50000);
  test_ready_and_wait();
  int result = deny(SYS_sysinfo, 78, SECCOMP_FILTER_FLAG_TSYNC);
  test_check(result == 0, "TSYNC answers %d", result);
  look = 1;
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  int status;
  test_check(write(gate[1], "x", 1) == 1, "write");
  test_check(waitpid(strict, &status, 0) == strict && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "strict: status %x", status);
  kill(apart, SIGTERM);
  test_check(waitpid(apart, &status, 0) == apart && WIFEXITED(status) && WEXITSTATUS(status) == 6, "apart: status %x", status);
  test_pass();
}
