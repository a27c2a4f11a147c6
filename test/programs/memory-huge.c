/* Transparent huge pages: what was one stays huge where the kernel has them, what was not touched stays empty. */
#include "memory-maps.h"

static unsigned long huge_kib(void) {
  maps_read("/proc/self/smaps_rollup", smaps_text, sizeof smaps_text);
  char *at = strstr(smaps_text, "AnonHugePages:");
  return at ? strtoul(at + 14, NULL, 10) : 0;
}

int main(void) {
  test_begin();
  size_t size = 64ul << 20, step = 2ul << 20;
  char *at = mmap(NULL, size + step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  at = (char *)(((unsigned long)at + step - 1) & ~(step - 1));
  madvise(at, size, MADV_HUGEPAGE);
  memset(maps_before, 1, sizeof maps_before);
  memset(maps_now, 1, sizeof maps_now);
  memset(smaps_text, 1, sizeof smaps_text);
  for (int i = 0; i < 4; i++) memset(at + i * 4 * step, 'h', step);
  maps_remember();
  unsigned long huge = huge_kib(), resident = maps_memory_kib("VmRSS:");
  test_ready_and_wait();
  maps_check();
  for (int i = 0; i < 4; i++) test_check(at[i * 4 * step + 12345] == 'h', "contents");
  unsigned long huge_now = huge_kib(), resident_now = maps_memory_kib("VmRSS:");
  test_check(resident_now < resident + 4096, "%lu KiB are in memory instead of %lu", resident_now, resident);
  test_check(huge_now >= huge, "%lu KiB of huge pages instead of %lu", huge_now, huge);
  test_pass();
}
