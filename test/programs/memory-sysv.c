/* kmonte-refuses: SYSV_SHM */
#include "memory-maps.h"
#include <sys/ipc.h>
#include <sys/shm.h>

int main(void) {
  test_begin();
  int id = shmget(IPC_PRIVATE, 100000, 0600 | IPC_CREAT);
  test_check(id >= 0, "shmget");
  char *at = shmat(id, NULL, 0);
  test_check(at != (void *)-1, "shmat");
  shmctl(id, IPC_RMID, NULL);
  strcpy(at, "sysv");
  test_ready_and_wait();
  test_check(strcmp(at, "sysv") == 0, "contents");
  test_pass();
}
