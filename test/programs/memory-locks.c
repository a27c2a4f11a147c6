/* mlockall(2) on fault for what comes later; memory that is denied execution, huge pages denied, swapped-out pages. */
/* kmonte-shows: memory/deny-write-execute */
#include "memory-maps.h"
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

int main(void) {
  test_begin();
  struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &most);
  size_t size = 64 * 4096;
  char *out = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (size_t i = 0; i < size; i += 4096) sprintf(out + i, "page %zu", i);
  char *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (size_t i = 0; i < size; i += 4096) sprintf(shared + i, "shared %zu", i);
  /* A swap file of our own, where the file system can have one. */
  char swap[] = "/tmp/kmonte-swap-XXXXXX", command[200];
  int fd = mkstemp(swap);
  snprintf(command, sizeof command, "dd if=/dev/zero of=%s bs=64k count=32 2>/dev/null && mkswap %s >/dev/null 2>&1", swap, swap);
  int has = system(command) == 0 && swapon(swap, 0) == 0;
  if (has) {
    madvise(out, size, 21 /* MADV_PAGEOUT */);
    madvise(shared, size, 21);
    usleep(50000);
    printf("%lu KiB are swapped out\n", maps_memory_kib("VmSwap:"));
  } else printf("no swap to be had\n");
  test_check(mlockall(MCL_FUTURE | MCL_ONFAULT) == 0, "mlockall");
  char *locked = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  locked[0] = 'l';
  int denied = prctl(PR_SET_MDWE, 1, 0, 0, 0) == 0;
  maps_remember();
  test_ready_and_wait();
  maps_check();
  for (size_t i = 0; i < size; i += 4096) {
    char text[30];
    sprintf(text, "page %zu", i);
    test_check(strcmp(out + i, text) == 0, "%s: %s", text, out + i);
    sprintf(text, "shared %zu", i);
    test_check(strcmp(shared + i, text) == 0, "%s: %s", text, shared + i);
  }
  if (has) swapoff(swap);
  close(fd);
  unlink(swap);
  unsigned char resident[64];
  test_check(mincore(locked, size, resident) == 0 && (resident[0] & 1) && !(resident[9] & 1), "locked on fault, but there");
  unsigned long before = maps_memory_kib("VmLck:");
  char *later = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  test_check(later != MAP_FAILED && maps_memory_kib("VmLck:") == before + size / 1024, "new memory is not locked");
  test_check(mincore(later, size, resident) == 0 && !(resident[0] & 1), "new memory is locked at once");
  if (denied) {
    test_check(prctl(PR_GET_MDWE, 0, 0, 0, 0) == 1, "what is written to may be executed");
    test_check(mprotect(later, 4096, PROT_READ | PROT_EXEC) != 0 && errno == EACCES, "memory became executable");
  }
  test_pass();
}
