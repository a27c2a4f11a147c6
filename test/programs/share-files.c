/* kmonte-shows: process/sharing */
/* Processes with one table of descriptors, with one working directory, and with neither; also siblings, whose common ancestor has its own again. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static volatile struct {
  int turn, ready, fd;
  char cwd[4][64];
} *shared;

static int born(int flags) { return (int)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0); }

/* Waits for a turn, does one thing, and stays. */
static void live(int me) {
  shared->ready++;
  while (shared->turn != me) usleep(5000);
  if (me == 1) shared->fd = open("/dev/zero", O_RDONLY);
  if (me == 2) chdir("/proc"), umask(011);
  if (me == 3) getcwd((char *)shared->cwd[3], 64);
  if (me == 4) close(shared->fd);
  shared->turn = 0;
  for (;;) pause();
}

static void turn(int who) {
  shared->turn = who;
  while (shared->turn != 0) usleep(1000);
}

int main(void) {
  test_begin();
  shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  test_check(chdir("/usr") == 0, "chdir");
  pid_t pids[4];
  if ((pids[0] = born(CLONE_FILES)) == 0) live(1);
  if ((pids[1] = born(CLONE_FS)) == 0) live(2);
  /* 3 and 4 share both with each other and nothing with their parent. */
  pid_t between = fork();
  if (between == 0) {
    if (born(CLONE_FS | CLONE_FILES | CLONE_PARENT) == 0) live(3);
    if (born(CLONE_FS | CLONE_FILES | CLONE_PARENT) == 0) live(4);
    chdir("/usr/bin");
    shared->fd = open("/dev/null", O_WRONLY);
    _exit(0);
  }
  test_check(waitpid(between, NULL, 0) == between, "the one in between");
  while (shared->ready < 4) usleep(1000);
  int inner = shared->fd;
  test_check(fcntl(inner, F_GETFD) == -1, "that descriptor is not ours");
  test_ready_and_wait();
  turn(4);
  turn(1);
  char byte = 1, cwd[64];
  test_check(shared->fd > 2 && read(shared->fd, &byte, 1) == 1 && byte == 0, "no descriptor that the child opened");
  turn(2);
  test_check(strcmp(getcwd(cwd, 64), "/proc") == 0, "the working directory is %s", cwd);
  test_check(umask(0) == 011, "umask");
  turn(3);
  test_check(strcmp((char *)shared->cwd[3], "/usr/bin") == 0, "3 is in %s", shared->cwd[3]);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", getpid(), getpid());
  char text[256] = {0};
  int fd = open(path, O_RDONLY);
  test_check(read(fd, text, sizeof text - 1) > 0, "children");
  int count = 0;
  for (char *at = strtok(text, " "); at; at = strtok(NULL, " ")) {
    pid_t pid = atoi(at);
    count++;
    /* KCMP_FILES 2, KCMP_FS 3: with ours. */
    int files = (int)syscall(SYS_kcmp, getpid(), pid, 2, 0, 0), fs = (int)syscall(SYS_kcmp, getpid(), pid, 3, 0, 0);
    test_check((files == 0) == (pid == pids[0]) && (fs == 0) == (pid == pids[1]), "process %d shares %d %d", pid, files, fs);
    kill(pid, SIGKILL);
    test_check(waitpid(pid, NULL, 0) == pid, "wait");
  }
  test_check(count == 4, "%d children", count);
  test_pass();
}
