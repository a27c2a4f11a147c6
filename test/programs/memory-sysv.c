/* Shared memory of System V, attached: twice, read-only, in pieces, by relatives, marked for removal, locked. */
/* kmonte-shows: ipc/sysv-attached-segment */
#include "memory-maps.h"
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>

#define PAGE 4096ul
enum { PLAIN, GONE, PIECES, LOCKED, COUNT };
static int ids[COUNT];
static struct shmid_ds before[COUNT];

static char *attach(int id, void *at, int flags) {
  char *got = shmat(id, at, flags);
  test_check(got != (void *)-1, "shmat");
  return got;
}

static void expect(volatile char *at, char wanted, const char *who) {
  for (int i = 0; i < 25000 && *at != wanted; i++) usleep(1000);
  test_check(*at == wanted, "%s sees %d instead of %d", who, *at, wanted);
}

int main(void) {
  test_begin();
  int spare = shmget(IPC_PRIVATE, 1, 0600); /* so that ids do not begin with 0 */
  ids[PLAIN] = shmget(0x4b6d0000 ^ getpid(), 10 * PAGE + 5, IPC_CREAT | 0640);
  ids[GONE] = shmget(IPC_PRIVATE, 4 * PAGE, IPC_CREAT | 0600);
  ids[PIECES] = shmget(IPC_PRIVATE, 16 * PAGE, IPC_CREAT | 0666);
  ids[LOCKED] = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
  for (int i = 0; i < COUNT; i++) test_check(ids[i] >= 0, "shmget %d", i);
  shmctl(spare, IPC_RMID, NULL);
  char *plain = attach(ids[PLAIN], NULL, 0), *again = attach(ids[PLAIN], NULL, 0), *reader = attach(ids[PLAIN], NULL, SHM_RDONLY);
  char *gone = attach(ids[GONE], NULL, 0);
  char *room = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(room, 64 * PAGE);
  char *pieces = attach(ids[PIECES], room + 8 * PAGE, 0);
  for (int i = 0; i < 16; i++) pieces[i * PAGE] = (char)('a' + i);
  munmap(pieces + 4 * PAGE, 2 * PAGE);
  test_check(mprotect(pieces + 8 * PAGE, 2 * PAGE, PROT_READ) == 0 && mprotect(pieces + 10 * PAGE, PAGE, PROT_NONE) == 0, "mprotect");
  char *moved = mremap(pieces + 12 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room + 40 * PAGE);
  test_check(moved == room + 40 * PAGE, "mremap");
  char *locked = attach(ids[LOCKED], NULL, SHM_EXEC);
  strcpy(plain + 9 * PAGE, "plain");
  strcpy(gone, "gone");
  strcpy(locked, "locked");
  test_check(shmctl(ids[GONE], IPC_RMID, NULL) == 0 && shmctl(ids[LOCKED], SHM_LOCK, NULL) == 0 && shmctl(ids[LOCKED], IPC_RMID, NULL) == 0, "shmctl");
  maps_remember();
  pid_t child = fork();
  if (child == 0) {
    maps_remember();
    expect(plain, 'p', "the child");
    gone[100] = 'c';
    maps_check();
    test_check(shmdt(pieces) == 0, "shmdt in the child");
    _exit(0);
  }
  usleep(20000);
  for (int i = 0; i < COUNT; i++) test_check(shmctl(ids[i], IPC_STAT, &before[i]) == 0, "stat %d", i);
  test_ready_and_wait();
  maps_check();
  for (int i = 0; i < COUNT; i++) {
    struct shmid_ds now;
    test_check(shmctl(ids[i], IPC_STAT, &now) == 0, "segment %d is gone", i);
    test_check(now.shm_perm.mode == before[i].shm_perm.mode, "%d: mode %o instead of %o", i, now.shm_perm.mode, before[i].shm_perm.mode);
    test_check(now.shm_perm.__key == before[i].shm_perm.__key && now.shm_segsz == before[i].shm_segsz, "%d: key or size", i);
    test_check(now.shm_nattch == before[i].shm_nattch, "%d: %ld attached instead of %ld", i, (long)now.shm_nattch, (long)before[i].shm_nattch);
    test_check(now.shm_cpid == before[i].shm_cpid, "%d: made by %d instead of %d", i, now.shm_cpid, before[i].shm_cpid);
    test_check(now.shm_lpid == before[i].shm_lpid, "%d: last used by %d instead of %d", i, now.shm_lpid, before[i].shm_lpid);
  }
  test_check(strcmp(again + 9 * PAGE, "plain") == 0 && strcmp(reader + 9 * PAGE, "plain") == 0 && strcmp(locked, "locked") == 0, "contents");
  test_check(mprotect(reader, PAGE, PROT_READ | PROT_WRITE) != 0 && errno == EACCES, "a read-only attachment can be written to");
  test_check(moved[0] == 'm' && moved[PAGE] == 'n' && pieces[9 * PAGE] == 'j' && pieces[15 * PAGE] == 'p', "pieces");
  plain[0] = 'p';
  test_check(again[0] == 'p' && reader[0] == 'p', "attachments of one segment part");
  expect(gone + 100, 'c', "the parent");
  int status;
  test_check(waitpid(child, &status, 0) == child && status == 0, "the child ended with %x", status);
  test_check(shmdt(plain) == 0 && shmdt(again) == 0 && shmdt(reader) == 0, "shmdt");
  test_check(shmctl(ids[PLAIN], IPC_STAT, &before[0]) == 0 && before[0].shm_nattch == 0, "%ld attached", (long)before[0].shm_nattch);
  test_check(shmctl(ids[PLAIN], IPC_RMID, NULL) == 0, "remove");
  shmctl(ids[PIECES], IPC_RMID, NULL);
  test_check(shmdt(pieces) == 0 && msync(pieces, PAGE, MS_ASYNC) != 0 && pieces + 15 * PAGE != NULL, "shmdt of the pieces");
  test_check(shmdt(gone) == 0 && shmctl(ids[GONE], IPC_STAT, &before[0]) < 0, "what was marked for removal stays");
  test_pass();
}
