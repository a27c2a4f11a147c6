/* Objects of System V that a process has used and does not hold: a queue, semaphores, memory that it has detached. */
/* kmonte-shows: ipc/sysv-use */
#include "kmonte-test.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

int main(void) {
  test_begin();
  struct { long type; char text[6000]; } message = {7, "a message"};
  int key = 0x4c000000 ^ getpid();
  int sems = semget(key, 3, IPC_CREAT | 0600), queue = msgget(key, IPC_CREAT | 0640), memory = shmget(key, 9000, IPC_CREAT | 0600);
  test_check(sems >= 0 && queue >= 0 && memory >= 0, "get");
  struct sembuf up = {1, 5, 0};
  test_check(semop(sems, &up, 1) == 0 && msgsnd(queue, &message, 10, 0) == 0, "use");
  strcpy(message.text + 5990, "the end");
  message.type = 8;
  test_check(msgsnd(queue, &message, 6000, 0) == 0, "a long message");
  char *at = shmat(memory, NULL, 0);
  strcpy(at + 8000, "memory");
  shmdt(at);
  printf("-s %d -q %d -m %d\n", sems, queue, memory);
  test_ready_and_wait();
  test_check(semget(key, 3, 0) == sems && msgget(key, 0) == queue && shmget(key, 9000, 0) == memory, "ids");
  test_check(semctl(sems, 1, GETVAL) == 5 && semctl(sems, 0, GETVAL) == 0 && semctl(sems, 1, GETPID) == getpid(), "semaphores");
  memset(message.text, 0, sizeof message.text);
  test_check(msgrcv(queue, &message, 6000, 8, IPC_NOWAIT) == 6000 && strcmp(message.text + 5990, "the end") == 0, "the long message");
  test_check(msgrcv(queue, &message, 6000, 0, IPC_NOWAIT) == 10 && message.type == 7, "the message");
  at = shmat(memory, NULL, 0);
  test_check(at != (void *)-1 && strcmp(at + 8000, "memory") == 0, "contents");
  semctl(sems, 0, IPC_RMID), msgctl(queue, IPC_RMID, NULL), shmctl(memory, IPC_RMID, NULL);
  test_pass();
}
