/* Semaphores of System V: what a process's end undoes (SEM_UNDO), threads apart, and those who wait in semop(2). */
/* kmonte-shows: ipc/semaphore-undo, ipc/sysv-used-objects */
#include "kmonte-test.h"
#include <pthread.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/wait.h>

#define COUNT 8
static int set;
static pid_t children[3];

static void operate(int index, int by, int flags) {
  struct sembuf operation = {(unsigned short)index, (short)by, (short)flags};
  test_check(semop(set, &operation, 1) == 0, "semop of %d by %d", index, by);
}

static void *apart(void *ready) {
  test_check(unshare(CLONE_SYSVSEM) == 0, "unshare");
  operate(5, -4, SEM_UNDO);
  operate(7, 1, 0);
  while (!test_told) pause();
  *(int *)ready = 1;
  return NULL;
}

static void hold(void) {
  static int thread_ended;
  operate(0, -2, SEM_UNDO);
  operate(1, 3, SEM_UNDO);
  operate(1, -7, 0);
  operate(2, -32000, SEM_UNDO);
  operate(3, -20000, SEM_UNDO);
  operate(3, 10000, 0);
  operate(4, 32767, SEM_UNDO);
  operate(4, -32767, 0);
  operate(4, 1, SEM_UNDO);
  operate(6, 1, SEM_UNDO);
  operate(6, -1, SEM_UNDO);
  pthread_t thread;
  pthread_create(&thread, NULL, apart, &thread_ended);
  sigset_t none;
  sigemptyset(&none);
  while (!test_told) usleep(10000);
  pthread_kill(thread, SIGTERM);
  pthread_join(thread, NULL);
  /* The kernel tells of a thread's end before it undoes anything. */
  for (int i = 0; i < 1000 && semctl(set, 5, GETVAL) != 10; i++) usleep(1000);
  test_check(thread_ended && semctl(set, 5, GETVAL) == 10, "the end of a thread has left %d", semctl(set, 5, GETVAL));
  _exit(0);
}

int main(void) {
  test_begin();
  set = semget(IPC_PRIVATE, COUNT, 0600);
  union { int value; unsigned short *all; } values = {.all = (unsigned short[]){5, 5, 32767, 30000, 0, 10, 0, 0}};
  test_check(set >= 0 && semctl(set, 0, SETALL, values.all) == 0, "semget");
  unsigned short expected[COUNT] = {3, 1, 767, 20000, 1, 6, 0, 0}, now[COUNT];
  if ((children[0] = fork()) == 0) hold();
  operate(7, -1, 0);
  if ((children[1] = fork()) == 0) {
    operate(7, -1, SEM_UNDO);
    _exit(semctl(set, 7, GETVAL));
  }
  if ((children[2] = fork()) == 0) {
    struct sembuf two[2] = {{0, -3, 0}, {7, -50, 0}};
    struct timespec minute = {60, 0};
    test_check(semtimedop(set, two, 2, &minute) == 0, "semtimedop");
    _exit(0);
  }
  while (semctl(set, 7, GETNCNT) != 2) usleep(1000);
  test_ready_and_wait();
  test_check(semctl(set, 0, GETALL, now) == 0, "values");
  for (int i = 0; i < COUNT; i++) test_check(now[i] == expected[i], "semaphore %d is %d instead of %d", i, now[i], expected[i]);
  for (int i = 0; i < 1000 && semctl(set, 7, GETNCNT) != 2; i++) usleep(1000);
  test_check(semctl(set, 7, GETNCNT) == 2, "%d wait", semctl(set, 7, GETNCNT));
  operate(7, 1, 0);
  int status;
  test_check(waitpid(children[1], &status, 0) > 0 && status == 0, "a waiter ended with %x", status);
  test_check(semctl(set, 7, GETVAL) == 1, "undone to %d", semctl(set, 7, GETVAL));
  operate(7, 49, 0);
  test_check(waitpid(children[2], &status, 0) > 0 && status == 0, "another waiter ended with %x", status);
  operate(0, 3, 0);
  kill(children[0], SIGTERM);
  test_check(waitpid(children[0], &status, 0) > 0 && status == 0, "the holder ended with %x", status);
  unsigned short after[COUNT] = {5, 0, 32767, 32767, 0, 10, 0, 0};
  test_check(semctl(set, 0, GETALL, now) == 0, "values");
  for (int i = 0; i < COUNT; i++) test_check(now[i] == after[i], "semaphore %d is %d afterwards instead of %d", i, now[i], after[i]);
  test_check(semctl(set, 0, IPC_RMID) == 0, "remove");
  test_pass();
}
