/* kmonte-shows: thread/ended-leader thread/execution */
/* Threads that are not the first start the program anew without pause, sometimes when the first has ended already. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>

#define KEPT 77
static char *self, *pid;

static void *start_anew(void *argument) {
  char rounds[24];
  snprintf(rounds, sizeof rounds, "%ld", (long)argument + 1);
  execl(self, self, rounds, pid, NULL);
  test_fail("exec");
  return NULL;
}

static void *idle(void *argument) {
  while (pause()) continue;
  return argument;
}

int main(int count, char **words) {
  long rounds = count > 1 ? atol(words[1]) : 0;
  char own[24];
  snprintf(own, sizeof own, "%d", getpid());
  self = words[0];
  pid = count > 2 ? words[2] : own;
  /* The order to look waits from one program to the next. */
  sigset_t term, pending;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, NULL);
  if (rounds == 0) test_check(dup2(open("/dev/null", O_RDONLY), KEPT) == KEPT, "dup2");
  if (rounds == 3) test_ready();
  test_check(strcmp(pid, own) == 0, "it was %s and is %s", pid, own);
  test_check(fcntl(KEPT, F_GETFD) == 0, "the descriptor that is handed down");
  usleep(3000);
  sigpending(&pending);
  if (rounds > 3 && sigismember(&pending, SIGTERM)) test_pass();
  pthread_t thread;
  for (int i = 0; i < 3; i++) pthread_create(&thread, NULL, idle, NULL);
  pthread_create(&thread, NULL, start_anew, (void *)rounds);
  if (rounds > 4 && rounds % 2 == 1) syscall(SYS_exit, 0);
  idle(NULL);
}
