/* Marks of mappings: advice, locks, names, no reserve; each as it was, neighbours not merged. */
#include "memory-maps.h"
#include <sys/prctl.h>
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static char *area(int flags) {
  char *at = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  test_check(at != MAP_FAILED, "mmap");
  /* A page of no access between, so that neighbours stay apart. */
  test_check(mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED, "gap");
  memset(at, 'm', 4096);
  return at;
}

int main(void) {
  test_begin();
  static const int advice[] = {MADV_RANDOM, MADV_SEQUENTIAL, MADV_DONTFORK, MADV_MERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_WIPEONFORK};
  for (unsigned i = 0; i < sizeof advice / sizeof *advice; i++) madvise(area(0), 8 * 4096, advice[i]);
  char *two = area(0);
  madvise(two, 4 * 4096, MADV_DONTDUMP);
  madvise(two, 8 * 4096, MADV_DONTFORK);
  char *named = area(0);
  prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, named, 4 * 4096, "first half");
  prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, named + 4 * 4096, 4 * 4096, "second half");
  char *shared_named = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, shared_named, 8192, "shared name");
  area(MAP_NORESERVE);
  area(MAP_STACK);
  test_check(mlock(area(0), 3 * 4096) == 0, "mlock");
  char *later = area(0);
  test_check(mlock2(later, 8 * 4096, MLOCK_ONFAULT) == 0, "mlock2");
  area(MAP_LOCKED);
  unsigned long locked = 0;
  maps_remember();
  locked = maps_memory_kib("VmLck:");
  test_ready_and_wait();
  maps_check();
  test_check(maps_memory_kib("VmLck:") == locked, "%lu KiB locked instead of %lu", maps_memory_kib("VmLck:"), locked);
  unsigned char resident[8];
  test_check(mincore(later, 8 * 4096, resident) == 0 && (resident[5] & 1) == 0, "locked on fault, but there");
  test_check(named[0] == 'm' && named[4095] == 'm' && named[4096] == 0, "contents");
  test_pass();
}
