/* kmonte-shows: ipc/sysv-attached-segment */
/* What is left of one shmat(2) after munmap(2) is taken away by one shmdt(2), and the segment goes with it. */
#include "kmonte-test.h"
#include <sys/mman.h>
#include <sys/shm.h>

#define PAGE 4096

int main(void) {
  test_begin();
  int id = shmget(IPC_PRIVATE, 8 * PAGE, IPC_CREAT | 0600);
  char *pieces = shmat(id, NULL, 0), *whole = shmat(id, NULL, SHM_RDONLY);
  test_check(pieces != (void *)-1 && whole != (void *)-1, "shmat");
  for (int i = 0; i < 8; i++) pieces[i * PAGE] = i + 1;
  test_check(munmap(pieces + PAGE, PAGE) == 0 && munmap(pieces + 7 * PAGE, PAGE) == 0, "munmap");
  test_check(mprotect(pieces + 4 * PAGE, PAGE, PROT_READ) == 0, "mprotect");
  test_check(shmctl(id, IPC_RMID, NULL) == 0, "IPC_RMID");
  struct shmid_ds before, now;
  test_check(shmctl(id, IPC_STAT, &before) == 0, "IPC_STAT");
  test_ready_and_wait();
  test_check(shmctl(id, IPC_STAT, &now) == 0 && now.shm_nattch == before.shm_nattch, "%ld attached", (long)now.shm_nattch);
  for (int i = 0; i < 8; i++) test_check(whole[i * PAGE] == i + 1, "page %d", i);
  pieces[2 * PAGE] = 99;
  test_check(whole[2 * PAGE] == 99, "not shared");
  test_check(shmdt(pieces) == 0 && msync(pieces + 2 * PAGE, PAGE, MS_ASYNC) == -1, "a piece was left");
  test_check(shmctl(id, IPC_STAT, &now) == 0 && now.shm_nattch == 1, "%ld attached", (long)now.shm_nattch);
  test_check(shmdt(whole) == 0 && shmctl(id, IPC_STAT, &now) == -1, "the segment was left");
  test_pass();
}
