/* Reserved huge pages: anonymous private and shared, in a memfd, in shared memory of System V. */
#include "memory-maps.h"
#include <sys/ipc.h>
#include <sys/shm.h>

#define HUGE (2ul << 20)

int main(void) {
  test_begin();
  FILE *pool = fopen("/proc/sys/vm/nr_hugepages", "r+");
  int had = 0, wanted = 0, may = pool != NULL;
  if (may) {
    test_check(fscanf(pool, "%d", &had) == 1, "nr_hugepages");
    rewind(pool);
    fprintf(pool, "%d\n", had + 12);
    fclose(pool);
    pool = fopen("/proc/sys/vm/nr_hugepages", "r+");
    test_check(pool && fscanf(pool, "%d", &wanted) == 1, "nr_hugepages");
  }
  if (wanted < had + 12) printf("no huge pages to be had: nothing is shown\n");
  int can = may && wanted >= had + 12, id = -1;
  char *private = NULL, *shared = NULL, *file = NULL, *sysv = NULL, *part = NULL, *own = NULL;
  if (can) {
    private = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    shared = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    int fd = memfd_create("huge", MFD_HUGETLB | MFD_ALLOW_SEALING);
    test_check(fd >= 0 && ftruncate(fd, 2 * HUGE) == 0, "memfd");
    file = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    own = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, HUGE);
    test_check(private != MAP_FAILED && shared != MAP_FAILED && file != MAP_FAILED && own != MAP_FAILED, "mmap");
    id = shmget(IPC_PRIVATE, 2 * HUGE, IPC_CREAT | SHM_HUGETLB | 0600);
    test_check(id >= 0, "shmget");
    sysv = shmat(id, NULL, 0);
    test_check(sysv != (void *)-1, "shmat");
    part = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    strcpy(private + 5000, "private");
    strcpy(shared + HUGE + 7, "shared");
    strcpy(file + HUGE + 9, "memfd");
    own[0] = 'o';
    strcpy(sysv + HUGE, "sysv");
    memset(part, 'r', 100);
    test_check(mprotect(part, HUGE, PROT_READ) == 0, "mprotect");
    test_check(shmctl(id, IPC_RMID, NULL) == 0, "remove");
  }
  maps_remember();
  test_ready_and_wait();
  maps_check();
  if (can) {
    test_check(strcmp(private + 5000, "private") == 0 && private[HUGE] == 0, "private");
    test_check(strcmp(shared + HUGE + 7, "shared") == 0 && shared[0] == 0, "shared");
    test_check(strcmp(file + HUGE + 9, "memfd") == 0 && file[HUGE] == 0 && own[0] == 'o' && own[9] == 'm', "memfd");
    test_check(strcmp(sysv + HUGE, "sysv") == 0 && sysv[0] == 0, "sysv");
    test_check(part[99] == 'r' && part[100] == 0, "read-only");
    munmap(private, 2 * HUGE), munmap(shared, 2 * HUGE), munmap(file, 2 * HUGE), munmap(own, HUGE), munmap(part, HUGE), shmdt(sysv);
  }
  if (may) {
    /* Others may have asked for more meanwhile. */
    fclose(pool);
    pool = fopen("/proc/sys/vm/nr_hugepages", "r+");
    test_check(pool && fscanf(pool, "%d", &wanted) == 1, "nr_hugepages");
    rewind(pool);
    fprintf(pool, "%d\n", wanted >= 12 ? wanted - 12 : 0);
    fclose(pool);
  }
  test_pass();
}
