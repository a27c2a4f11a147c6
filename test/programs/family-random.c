/* A tree that came to be in a hundred random steps: forks, siblings, sessions, groups, ends, subreapers. */
#include "kmonte-test.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { NONE, FORK, SIBLING, SESSION, GROUP, JOIN, REAP, NO_REAP, DIE, REPORT, OPS };
#define MOST 24
static volatile struct task {
  int used, op, alive, value;
  pid_t pid, ppid, pgid, sid;
} *tasks;
static unsigned state;

static unsigned draw(unsigned below) {
  state = state * 1103515245 + 12345;
  return (state >> 16) % below;
}

static void live(int me);

static int unused(void) {
  for (int i = 1; i < MOST; i++)
    if (!tasks[i].used) return i;
  return 0;
}

static void act(int me) {
  int child, value = tasks[me].value;
  switch (tasks[me].op) {
    case FORK:
    case SIBLING:
      if ((child = unused()) == 0) break;
      tasks[child].used = 1;
      if (syscall(SYS_clone, SIGCHLD | (tasks[me].op == SIBLING ? CLONE_PARENT : 0), 0, 0, 0, 0) == 0) live(child);
      while (!tasks[child].alive) usleep(300);
      break;
    case SESSION: setsid(); break;
    case GROUP: setpgid(0, 0); break;
    case JOIN: setpgid(0, tasks[value].pgid); break;
    case REAP: prctl(PR_SET_CHILD_SUBREAPER, 1); break;
    case NO_REAP: prctl(PR_SET_CHILD_SUBREAPER, 0); break;
    case DIE: _exit(0);
    case REPORT:
      tasks[me].ppid = getppid(), tasks[me].pgid = getpgid(0), tasks[me].sid = getsid(0);
      break;
  }
  tasks[me].op = NONE;
}

static void live(int me) {
  tasks[me].pid = getpid(), tasks[me].alive = 1;
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    if (tasks[me].op != NONE) act(me);
    usleep(tasks[me].op == NONE && tasks[0].op == OPS ? 20000 : 500);
  }
}

static void order(int who, int op, int value) {
  tasks[who].value = value;
  tasks[who].op = op;
  if (who == 0) return act(0);
  for (int tries = 0; tasks[who].op != NONE && kill(tasks[who].pid, 0) == 0; tries++) {
    if (tries > 20000) test_fail("task %d does not answer to order %d", who, op);
    usleep(300);
  }
}

static void report(void) {
  for (int i = 0; i < MOST; i++)
    if (tasks[i].used) order(i, REPORT, 0);
}

int main(int argc, char **argv) {
  test_begin();
  state = argc > 1 ? (unsigned)atoi(argv[1]) : getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : 7;
  tasks = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  tasks[0].used = tasks[0].alive = 1, tasks[0].pid = getpid();
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  signal(SIGCHLD, SIG_IGN);
  for (int i = 0; i < 120; i++) {
    int who = draw(MOST), op = 1 + draw(OPS - 2), value = draw(MOST);
    while (!tasks[who].used) who = draw(MOST);
    while (!tasks[value].used) value = draw(MOST);
    if (who == 0 && (op == SIBLING || op == DIE || op == NO_REAP)) op = FORK;
    if (op == DIE && draw(2)) op = SIBLING;
    /* No sibling of the top: its parent is outside. */
    if (op == SIBLING) {
      order(who, REPORT, 0);
      if (tasks[who].ppid == getppid()) op = FORK;
    }
    order(who, op, value);
    if (op == DIE) tasks[who].used = tasks[who].alive = 0;
  }
  report();
  struct task before[MOST];
  memcpy(before, (void *)tasks, sizeof before);
  int living = 0;
  for (int i = 0; i < MOST; i++) living += before[i].used;
  printf("%d processes\n", living);
  tasks[0].op = OPS;
  test_ready_and_wait();
  tasks[0].op = NONE;
  report();
  for (int i = 0; i < MOST; i++) {
    struct task now = tasks[i], *was = &before[i];
    if (!was->used) continue;
    test_check((i == 0 || now.ppid == was->ppid) && now.pgid == was->pgid && now.sid == was->sid,
               "task %d, process %d: parent %d group %d session %d, not %d %d %d", i, was->pid, now.ppid, now.pgid, now.sid,
               was->ppid, was->pgid, was->sid);
  }
  for (int i = 1; i < MOST; i++)
    if (before[i].used) kill(before[i].pid, SIGKILL);
  test_pass();
}
