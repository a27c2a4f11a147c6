/* What musl refuses to do (ENOSYS), and programs ask of the kernel: linked with each of them. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

int sched_setscheduler(pid_t pid, int policy, const struct sched_param *param) {
  return syscall(SYS_sched_setscheduler, pid, policy, &param->sched_priority);
}

int sched_getscheduler(pid_t pid) {
  return syscall(SYS_sched_getscheduler, pid);
}

int sched_setparam(pid_t pid, const struct sched_param *param) {
  return syscall(SYS_sched_setparam, pid, &param->sched_priority);
}

int sched_getparam(pid_t pid, struct sched_param *param) {
  return syscall(SYS_sched_getparam, pid, &param->sched_priority);
}

void *sbrk(intptr_t more) {
  char *end = (char *)syscall(SYS_brk, 0);
  if (more == 0) return end;
  return (char *)syscall(SYS_brk, end + more) == end + more ? end : (void *)-1;
}
