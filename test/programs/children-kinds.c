/* Living children of every kind end after the thaw: with other exit signals, made by a thread, not to be waited for, orphans that stand still. */
#include "kmonte-test.h"
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static volatile int told[65], unwaited;
static volatile pid_t *shared;
static void on_signal(int signal) { told[signal]++; }

static pid_t born(int flags) {
  pid_t pid = syscall(SYS_clone, flags, 0, 0, 0, 0);
  if (pid == 0)
    for (;;) pause();
  return pid;
}

static volatile pid_t of_thread;
static volatile int thread_ends;
static void *parent_thread(void *argument) {
  of_thread = born(SIGCHLD);
  while (!thread_ends) usleep(10000);
  return argument;
}

int main(void) {
  test_begin();
  shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int ends[] = {0, SIGUSR1, SIGCHLD, SIGRTMIN + 2};
  pid_t pids[4];
  for (int i = 0; i < 4; i++) {
    if (ends[i]) signal(ends[i], on_signal);
    pids[i] = born(ends[i]);
  }
  pthread_t thread;
  pthread_create(&thread, NULL, parent_thread, NULL);
  while (!of_thread) usleep(1000);
  /* One that nobody will wait for, in a process of its own. */
  pid_t careless = fork();
  if (careless == 0) {
    struct sigaction action = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
    sigaction(SIGCHLD, &action, NULL);
    shared[0] = born(SIGCHLD);
    while (!test_told) usleep(10000);
    kill(shared[0], SIGKILL);
    int status;
    _exit(waitpid(shared[0], &status, 0) == -1 && errno == ECHILD ? 12 : 13);
  }
  /* Stopped, in a group whose members have no parent in the session any more. */
  test_check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "subreaper");
  pid_t between = fork();
  if (between == 0) {
    setsid();
    if (fork() == 0) {
      setpgid(0, 0);
      shared[1] = getpid();
      shared[2] = 1;
      for (;;) pause();
    }
    while (!shared[2]) usleep(1000);
    _exit(0);
  }
  test_check(waitpid(between, NULL, 0) == between, "wait");
  int status;
  kill(shared[1], SIGSTOP);
  test_check(waitpid(shared[1], &status, WUNTRACED) == shared[1] && WIFSTOPPED(status), "stop: %x", status);
  usleep(50000);
  for (int i = 0; i < 65; i++) told[i] = 0;
  test_ready_and_wait();
  usleep(50000);
  for (int i = 1; i < 65; i++) test_check(told[i] == 0, "signal %d came", i);
  test_check(waitpid(shared[1], &status, WUNTRACED | WCONTINUED | WNOHANG) == 0, "the orphan: %x", status);
  kill(shared[1], SIGKILL);
  test_check(waitpid(shared[1], &status, 0) == shared[1], "the orphan");
  kill(careless, SIGTERM);
  test_check(waitpid(careless, &status, 0) == careless && WIFEXITED(status) && WEXITSTATUS(status) == 12, "careless: %x", status);
  thread_ends = 1;
  pthread_join(thread, NULL);
  kill(of_thread, SIGKILL);
  test_check(waitpid(of_thread, &status, 0) == of_thread, "the thread's");
  told[SIGCHLD] = 0;
  for (int i = 0; i < 4; i++) {
    kill(pids[i], SIGKILL);
    test_check(ends[i] == SIGCHLD || (waitpid(pids[i], &status, WNOHANG) == -1 && errno == ECHILD), "child %d needs no __WCLONE", i);
    test_check(waitpid(pids[i], &status, __WALL) == pids[i] && WIFSIGNALED(status), "child %d: %x", i, status);
    if (ends[i]) test_check(told[ends[i]] == 1, "child %d: told %d times", i, told[ends[i]]);
  }
  test_pass();
}
