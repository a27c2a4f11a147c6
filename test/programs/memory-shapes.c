/* Address spaces of odd shapes: thousands of mappings, a deep stack, moved boundaries, sealed and collapsed memory. */
#include "memory-maps.h"
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define PAGE 4096ul
#define MANY 5200

static char *anonymous(size_t size, int prot, int flags) {
  char *at = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  test_check(at != MAP_FAILED, "mmap");
  return at;
}

static unsigned deep(unsigned depth) {
  volatile char frame[3000];
  frame[0] = (char)depth;
  return depth == 0 ? (unsigned)frame[0] : deep(depth - 1) + (unsigned)frame[0] % 2;
}

int main(void) {
  test_begin();
  test_check(deep(1000) > 0, "deep"); /* three MiB of stack, most of it below what is used now */
  char *many = anonymous(MANY * 2 * PAGE, PROT_READ | PROT_WRITE, 0);
  for (int i = 0; i < MANY; i++) {
    many[i * 2 * PAGE] = (char)i;
    test_check(mprotect(many + i * 2 * PAGE, PAGE, PROT_READ) == 0, "many %d", i);
  }
  char *hidden = anonymous(4 * PAGE, PROT_READ | PROT_WRITE, 0);
  strcpy(hidden + PAGE, "hidden");
  mprotect(hidden, 4 * PAGE, PROT_NONE);
  char *sealed = anonymous(4 * PAGE, PROT_READ | PROT_WRITE, 0);
  strcpy(sealed, "sealed");
  mprotect(sealed, 2 * PAGE, PROT_READ);
  int can_seal = syscall(462, sealed, 2 * PAGE, 0) == 0;
  char *huge = anonymous(4ul << 20, PROT_READ | PROT_WRITE, 0);
  huge = (char *)(((unsigned long)huge + (2ul << 20) - 1) & ~((2ul << 20) - 1));
  for (unsigned long i = 0; i < 512; i++) huge[i * PAGE] = (char)i;
  madvise(huge, 2ul << 20, MADV_COLLAPSE);
  char *down = anonymous(600 * PAGE, PROT_NONE, 0); /* the kernel keeps a gap of 256 pages below */
  munmap(down, 600 * PAGE);
  down = mmap(down + 590 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
  test_check(down != MAP_FAILED, "grows down");
  down[0] = 'd';
  for (int i = 1; i < 20; i++) down[-i * (long)PAGE] = (char)i;
  char *merge = anonymous(64 * PAGE, PROT_READ | PROT_WRITE, 0);
  madvise(merge, 64 * PAGE, MADV_MERGEABLE);
  memset(merge, 'k', 64 * PAGE);
  char *out = anonymous(16 * PAGE, PROT_READ | PROT_WRITE, 0);
  memset(out, 'o', 16 * PAGE);
  madvise(out, 8 * PAGE, 21 /* MADV_PAGEOUT */);
  madvise(out + 8 * PAGE, 4 * PAGE, 20 /* MADV_COLD */);
  char *lazy = anonymous(4 * PAGE, PROT_READ | PROT_WRITE, 0);
  struct rlimit data = {RLIM_INFINITY, RLIM_INFINITY};
  char *brk_start = sbrk(0);
  test_check(brk(brk_start + 300000) == 0 && brk(brk_start + 200000) == 0, "brk");
  memset(brk_start, 'b', 200000);
  getrlimit(RLIMIT_DATA, &data);
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, merge, 64 * PAGE, "a name [with] $igns");
  char *title = anonymous(PAGE, PROT_READ | PROT_WRITE, 0);
  memcpy(title, "another\0command\0line", 21);
  int moved = prctl(PR_SET_MM, PR_SET_MM_ARG_START, title, 0, 0) == 0 && prctl(PR_SET_MM, PR_SET_MM_ARG_END, title + 20, 0, 0) == 0;
  test_check(munlock(lazy, PAGE) == 0, "munlock");
  maps_remember();
  char *brk_now = (char *)syscall(SYS_brk, 0);
  test_ready_and_wait();
  maps_check();
  for (int i = 0; i < MANY; i++) test_check(many[i * 2 * PAGE] == (char)i && many[(i * 2 + 1) * PAGE] == 0, "many %d", i);
  mprotect(hidden, 4 * PAGE, PROT_READ);
  test_check(strcmp(hidden + PAGE, "hidden") == 0 && hidden[0] == 0, "hidden");
  test_check(strcmp(sealed, "sealed") == 0, "sealed");
  if (can_seal) {
    test_check(mprotect(sealed, PAGE, PROT_READ | PROT_WRITE) != 0 && errno == EPERM, "the seal has gone");
    test_check(munmap(sealed, PAGE) != 0 && errno == EPERM, "sealed memory can be unmapped");
    test_check(mprotect(sealed + 2 * PAGE, PAGE, PROT_READ) == 0, "what was not sealed is");
  }
  for (unsigned long i = 0; i < 512; i++) test_check(huge[i * PAGE] == (char)i, "huge");
  for (int i = 1; i < 20; i++) test_check(down[-i * (long)PAGE] == (char)i, "down %d", i);
  for (unsigned long i = 0; i < 64 * PAGE; i++) test_check(merge[i] == 'k', "merged");
  merge[100] = 'm';
  test_check(merge[PAGE + 100] == 'k', "merged for ever");
  for (unsigned long i = 0; i < 16 * PAGE; i++) test_check(out[i] == 'o', "paged out");
  for (int i = 0; i < 200000; i++) test_check(brk_start[i] == 'b', "heap");
  test_check((char *)syscall(SYS_brk, 0) == brk_now, "brk has moved");
  test_check(brk(brk_start + 5000000) == 0, "brk does not grow");
  test_check(brk_start[4000000] == 0, "grown memory is not empty");
  test_check(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1, "huge pages are allowed");
  char line[64] = "";
  maps_read("/proc/self/cmdline", line, sizeof line);
  if (moved) test_check(memcmp(line, "another\0command\0line", 20) == 0, "command line %s", line);
  test_check(deep(1500) > 0, "deeper");
  test_pass();
}
