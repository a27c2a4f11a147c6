/* kmonte-unshare: ipc */
/* kmonte-shows: ipc/namespace */
/* An IPC namespace of its own: limits, semaphores, a message queue with messages, shared memory that nobody has attached. */
#include "kmonte-test.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>

static void put(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  test_check(file && fputs(text, file) >= 0 && fclose(file) == 0, "%s", path);
}

static void expect(const char *path, const char *text) {
  char line[100] = "";
  FILE *file = fopen(path, "r");
  test_check(file && fgets(line, sizeof line, file) && fclose(file) == 0, "%s", path);
  test_check(strcmp(line, text) == 0, "%s is %s", path, line);
}

int main(void) {
  test_begin();
  put("/proc/sys/kernel/msgmax", "4321\n");
  put("/proc/sys/kernel/shmall", "1234\n");
  put("/proc/sys/kernel/sem", "100\t2000\t30\t40\n");
  int spare = semget(IPC_PRIVATE, 1, 0600), sems = semget(0x1234, 3, IPC_CREAT | 0640);
  unsigned short values[3] = {5, 0, 777};
  test_check(spare >= 0 && semctl(spare, 0, IPC_RMID) == 0, "a number that is passed over");
  test_check(sems >= 0 && semctl(sems, 0, SETALL, values) == 0, "semaphores");
  int queue = msgget(0x77, IPC_CREAT | 0622);
  struct { long type; char text[100]; } message = {3, "first"}, second = {9, "the second"};
  test_check(queue >= 0 && msgsnd(queue, &message, 5, 0) == 0 && msgsnd(queue, &second, 10, 0) == 0, "messages");
  int shm = shmget(0x55, 10000, IPC_CREAT | 0604);
  char *memory = shmat(shm, NULL, 0);
  test_check(memory != (void *)-1, "shmat");
  strcpy(memory + 9000, "shared");
  test_check(shmdt(memory) == 0, "shmdt");
  struct sembuf up = {1, 3, 0};
  test_check(semop(sems, &up, 1) == 0, "semop");
  values[1] = 3;
  int foreign = semget(0x99, 2, IPC_CREAT | 0666), empty = msgget(0x78, IPC_CREAT | 0600);
  test_check(foreign >= 0 && empty >= 0 && msgsnd(empty, &message, 5, 0) == 0 && msgrcv(empty, &message, 5, 0, 0) == 5, "empty queue");
  if (fork() == 0) {
    test_check(setresgid(-1, 77, -1) == 0 && setresuid(-1, 88, -1) == 0, "another user");
    _exit(shmget(0x56, 5000, IPC_CREAT | 0600) >= 0 ? 0 : 1);
  }
  int status, theirs;
  test_check(wait(&status) > 0 && status == 0 && (theirs = shmget(0x56, 5000, 0)) >= 0, "another user's memory");
  struct msqid_ds queues[2], now_queues[2];
  test_check(msgctl(queue, IPC_STAT, &queues[0]) == 0 && msgctl(empty, IPC_STAT, &queues[1]) == 0, "queues");
  test_ready_and_wait();
  struct shmid_ds made;
  test_check(shmctl(theirs, IPC_STAT, &made) == 0 && made.shm_perm.cuid == 88 && made.shm_perm.cgid == 77 && made.shm_perm.uid == 88, "made by %d", made.shm_perm.cuid);
  test_check(semctl(sems, 1, GETPID) == getpid() && semctl(foreign, 0, GETPID) == 0, "changed by %d and %d", semctl(sems, 1, GETPID), semctl(foreign, 0, GETPID));
  test_check(msgctl(queue, IPC_STAT, &now_queues[0]) == 0 && msgctl(empty, IPC_STAT, &now_queues[1]) == 0, "queues");
  for (int i = 0; i < 2; i++) {
    test_check(now_queues[i].msg_lspid == queues[i].msg_lspid && now_queues[i].msg_lrpid == queues[i].msg_lrpid, "queue %d: %d and %d", i, now_queues[i].msg_lspid, now_queues[i].msg_lrpid);
    test_check(now_queues[i].msg_qnum == queues[i].msg_qnum && now_queues[i].msg_qbytes == queues[i].msg_qbytes, "queue %d: limits", i);
  }
  test_check(semget(0x1234, 3, 0) == sems && msgget(0x77, 0) == queue && shmget(0x55, 10000, 0) == shm, "ids");
  unsigned short now[3];
  test_check(semctl(sems, 0, GETALL, now) == 0 && memcmp(now, values, sizeof now) == 0, "semaphores: %d %d %d", now[0], now[1], now[2]);
  test_check(msgrcv(queue, &message, 100, 9, IPC_NOWAIT) == 10 && memcmp(message.text, "the second", 10) == 0, "message 9");
  test_check(msgrcv(queue, &message, 100, 0, IPC_NOWAIT) == 5 && message.type == 3 && memcmp(message.text, "first", 5) == 0, "message 3");
  struct shmid_ds about;
  test_check(shmctl(shm, IPC_STAT, &about) == 0 && (about.shm_perm.mode & 0777) == 0604 && about.shm_segsz == 10000, "mode %o", about.shm_perm.mode);
  memory = shmat(shm, NULL, 0);
  test_check(memory != (void *)-1 && strcmp(memory + 9000, "shared") == 0, "shared memory");
  expect("/proc/sys/kernel/msgmax", "4321\n");
  expect("/proc/sys/kernel/shmall", "1234\n");
  expect("/proc/sys/kernel/sem", "100\t2000\t30\t40\n");
  test_check(msgget(7, 0) < 0 && errno == ENOENT, "the namespace is not empty");
  test_pass();
}
