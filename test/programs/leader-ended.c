/* kmonte-shows: thread/ended-leader */
/* Processes whose first thread has ended before the others: this one, and a child whose threads all end by themselves. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static pthread_t leader;
static int fd, go[2];
static pid_t child, mourner;
static char *page, name[64];

static char state_of(pid_t tid) {
  char path[64], text[256] = {0};
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0 || read(file, text, sizeof text - 1) <= 0) return '?';
  close(file);
  return strrchr(text, ')')[2];
}

static void *child_work(void *argument) {
  char byte;
  while (state_of(getpid()) != 'Z') usleep(1000);
  test_check(write(go[1], "x", 1) == 1, "telling");
  while (read(*(int *)argument, &byte, 1) < 0) continue;
  syscall(SYS_exit, 4);
  return NULL;
}

/* Its first thread says 7, the last one to end says 4: its parent is told 7, since 5.19 of the kernel 4. */
static pid_t start_child(int *tell) {
  int order[2];
  test_check(pipe(order) == 0, "pipe");
  *tell = order[1];
  pid_t pid = fork();
  if (pid != 0) {
    close(order[0]);
    return pid;
  }
  close(order[1]);
  pthread_t thread;
  pthread_create(&thread, NULL, child_work, &order[0]);
  syscall(SYS_exit, 7);
  return 0;
}

static void on_death(int signal) {
  (void)signal;
  _exit(33);
}

static void *other(void *argument) {
  *(pid_t *)argument = syscall(SYS_gettid);
  while (pause()) continue;
  return NULL;
}

static void *work(void *argument) {
  void *result;
  pid_t pid = getpid(), tid = syscall(SYS_gettid), third = 0;
  test_check(pthread_join(leader, &result) == 0, "the leader has ended");
  while (state_of(pid) != 'Z') usleep(1000);
  page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  strcpy(page, "still here");
  snprintf(name, sizeof name, "/tmp/kmonte-leader-%d", pid);
  fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
  unlink(name);
  test_check(write(fd, "contents", 8) == 8, "writing");
  pthread_t thread;
  pthread_create(&thread, NULL, other, &third);
  while (__atomic_load_n(&third, __ATOMIC_SEQ_CST) == 0) usleep(1000);
  umask(031);
  test_check(pipe(go) == 0, "pipe");
  int tell;
  char byte;
  child = start_child(&tell);
  test_check(read(go[0], &byte, 1) == 1, "the child's leader has ended");
  /* Hears of the end of the thread that made it, which is the one that works here. */
  mourner = fork();
  if (mourner == 0) {
    signal(SIGUSR1, on_death);
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    test_check(write(go[1], "x", 1) == 1, "telling");
    for (;;) pause();
  }
  test_check(read(go[0], &byte, 1) == 1, "the mourner stands");
  test_ready_and_wait();

  test_check(getpid() == pid && syscall(SYS_gettid) == tid && tid != pid, "ids");
  test_check(state_of(pid) == 'Z' && state_of(third) != '?', "the leader is %c", state_of(pid));
  char text[64] = {0}, comm[32] = {0};
  int file = open("/proc/self/comm", O_RDONLY);
  test_check(read(file, comm, sizeof comm) > 0 && strcmp(comm, "the-first\n") == 0, "called %s", comm);
  test_check(pread(fd, text, 8, 0) == 8 && strcmp(text, "contents") == 0 && strcmp(page, "still here") == 0, "contents");
  test_check(umask(0) == 031, "umask");
  test_check(tgkill(pid, pid, 0) == 0 && kill(mourner, 0) == 0, "those who are there");
  int status;
  test_check(waitpid(mourner, &status, WNOHANG) == 0, "the mourner heard of an end that was none: %x", status);
  kill(mourner, SIGUSR1);
  test_check(waitpid(mourner, &status, 0) == mourner && WEXITSTATUS(status) == 33, "mourner %x", status);
  test_check(write(tell, "x", 1) == 1, "telling the child");
  test_check(waitpid(child, &status, 0) == child && WIFEXITED(status), "child %x", status);
  test_check(WEXITSTATUS(status) == 4 || WEXITSTATUS(status) == 7, "child %x", status);
  pthread_t more;
  pid_t fourth = 0;
  test_check(pthread_create(&more, NULL, other, &fourth) == 0, "a thread more");
  test_pass();
  return argument;
}

int main(void) {
  test_begin();
  pthread_t thread;
  leader = pthread_self();
  prctl(PR_SET_NAME, "the-first");
  pthread_create(&thread, NULL, work, NULL);
  pthread_exit(NULL);
}
