/* Sessions, groups whose leader is gone, children of children, orphans that a subreaper has taken in. */
#include "kmonte-test.h"
#include <sys/prctl.h>
#include <sys/wait.h>

struct place {
  pid_t pid, parent, group, session;
};
static struct place *places;
static volatile int *done;

static void live(int number) {
  while (getppid() == 0) usleep(1000);
  places[number] = (struct place){getpid(), getppid(), getpgid(0), getsid(0)};
  while (!test_told) usleep(10000);
  struct place now = {getpid(), getppid(), getpgid(0), getsid(0)};
  done[number] = 1;
  if (memcmp(&now, &places[number], sizeof now) == 0) _exit(50 + number);
  printf("place %d: %d %d %d %d, not %d %d %d %d\n", number, now.pid, now.parent, now.group, now.session, places[number].pid,
         places[number].parent, places[number].group, places[number].session);
  _exit(1);
}

#include <sys/mman.h>

int main(void) {
  test_begin();
  places = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  test_check(places != MAP_FAILED, "mmap");
  done = (int *)&places[6];
  test_check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "subreaper");
  pid_t self = getpid();

  /* 0: a child with a group of its own. */
  if (fork() == 0) {
    setpgid(0, 0);
    live(0);
  }
  /* 1: a child that leads a session; 2: its child in the same group; 3: its child in another group. */
  if (fork() == 0) {
    setsid();
    if (fork() == 0) live(2);
    if (fork() == 0) {
      setpgid(0, 0);
      live(3);
    }
    live(1);
  }
  /* 4: an orphan of a session whose leader is gone; 5: its sister in a group whose leader is gone. */
  pid_t leader = fork();
  if (leader == 0) {
    setsid();
    if (fork() == 0) {
      while (getppid() != self) usleep(1000);
      live(4);
    }
    pid_t first = fork();
    if (first == 0) {
      setpgid(0, 0);
      if (fork() == 0) {
        while (getppid() != self) usleep(1000);
        live(5);
      }
      _exit(0);
    }
    waitpid(first, NULL, 0);
    _exit(0);
  }
  test_check(waitpid(leader, NULL, 0) == leader, "the leader");
  while (!places[0].pid || !places[1].pid || !places[2].pid || !places[3].pid || !places[4].pid || !places[5].pid) usleep(1000);
  test_check(places[4].session == leader && places[5].group != places[5].pid, "setup");
  test_ready_and_wait();
  /* Parents after their children, which look who their parent is. */
  for (int i = 5; i >= 0; i--) {
    kill(places[i].pid, SIGTERM);
    for (int tries = 0; !done[i] && tries < 1000; tries++) usleep(5000);
  }
  int seen[6] = {0}, status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, 0)) > 0) {
    test_check(WIFEXITED(status) && WEXITSTATUS(status) >= 50 && WEXITSTATUS(status) < 56, "process %d: status %x", pid, status);
    seen[WEXITSTATUS(status) - 50]++;
  }
  /* 2 and 3 are waited for here when their parent has ended before them. */
  test_check(seen[0] == 1 && seen[1] == 1 && seen[4] == 1 && seen[5] == 1, "%d %d %d %d", seen[0], seen[1], seen[4], seen[5]);
  test_pass();
}
