/* mlockall(2): what is mapped later is locked as well. */
/* kmonte-shows: memory/future-locks */
#include "memory-maps.h"
#include <sys/resource.h>

int main(void) {
  test_begin();
  struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &most);
  maps_remember();
  test_check(mlockall(MCL_CURRENT | MCL_FUTURE) == 0, "mlockall");
  maps_remember();
  test_ready_and_wait();
  maps_check();
  unsigned long before = maps_memory_kib("VmLck:");
  char *later = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  test_check(later != MAP_FAILED, "mmap");
  test_check(maps_memory_kib("VmLck:") == before + 1024, "new memory is not locked: %lu, %lu", before, maps_memory_kib("VmLck:"));
  test_pass();
}
