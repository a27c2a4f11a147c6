/* Private anonymous memory: contents behind every protection, pages never touched, thousands of mappings, the heap. */
/* kmonte-shows: memory/layout */
#include "memory-maps.h"

#define MANY 3000

static char *make(size_t size, int prot, int seed) {
  char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  test_check(at != MAP_FAILED, "mmap");
  for (size_t i = 0; i < size; i += 512) at[i] = (char)(seed + i / 512);
  test_check(mprotect(at, size, prot) == 0, "mprotect");
  return at;
}

static void check(char *at, size_t size, int seed) {
  test_check(mprotect(at, size, PROT_READ) == 0, "mprotect back");
  for (size_t i = 0; i < size; i += 512) test_check(at[i] == (char)(seed + i / 512), "byte %zu of %d", i, seed);
}

static volatile char *probe;
static volatile int faults;
static void on_fault(int signal) {
  (void)signal;
  faults++;
  mprotect((void *)((unsigned long)probe & ~4095ul), 4096, PROT_READ | PROT_WRITE);
}

int main(void) {
  test_begin();
  static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_EXEC, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC, PROT_WRITE};
  char *areas[7];
  for (int i = 0; i < 7; i++) areas[i] = make(5 * 4096, prots[i], i);
  char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(code, "\xb8\x2a\0\0\0\xc3", 6);
  test_check(mprotect(code, 4096, PROT_EXEC) == 0, "exec only");
  /* Written to once, then never readable and never touched: charged, but empty. */
  char *empty = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  test_check(mprotect(empty, 1 << 20, PROT_READ) == 0, "empty");
  char sum = 0;
  for (int i = 0; i < 1 << 20; i += 4096) sum += empty[i]; /* the kernel's page of zeros */
  test_check(sum == 0, "zeros");
  char *many = mmap(NULL, MANY * 8192ul, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < MANY; i++) {
    test_check(mprotect(many + i * 8192ul, 4096, PROT_READ | PROT_WRITE) == 0, "many");
    if (i % 3 == 0) many[i * 8192ul + 7] = (char)i;
  }
  size_t huge = 64ul << 30;
  char *sparse = mmap(NULL, huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  test_check(sparse != MAP_FAILED, "64 GiB");
  madvise(sparse, huge, MADV_NOHUGEPAGE);
  for (int i = 0; i < 16; i++) sparse[i * (4ul << 30) + 12345] = (char)(i + 1);
  char *heap = malloc(100000);
  memset(heap, 'h', 100000);
  void *brk_before = sbrk(0);
  probe = areas[1];
  maps_remember();
  test_ready_and_wait();
  maps_check();
  signal(SIGSEGV, on_fault);
  *probe = 0;
  test_check(faults == 1, "read-only memory took a write");
  test_check(((int (*)(void))code)() == 42, "code");
  for (int i = 0; i < 7; i++) {
    test_check(mprotect(areas[i], 5 * 4096, PROT_READ | PROT_WRITE) == 0, "mprotect");
    if (i == 1) areas[1][0] = 1;
    check(areas[i], 5 * 4096, i);
  }
  for (int i = 0; i < MANY; i++) test_check(many[i * 8192ul + 7] == (i % 3 == 0 ? (char)i : 0), "mapping %d", i);
  for (int i = 0; i < 16; i++) test_check(sparse[i * (4ul << 30) + 12345] == (char)(i + 1), "sparse %d", i);
  test_check(maps_memory_kib("VmRSS:") < 200000, "%lu KiB are in memory", maps_memory_kib("VmRSS:"));
  for (int i = 0; i < 100000; i++) test_check(heap[i] == 'h', "heap");
  test_check(sbrk(0) == brk_before, "brk moved");
  test_check(sbrk(1 << 20) == brk_before, "brk does not grow");
  memset(brk_before, 1, 1 << 20);
  for (int i = 0; i < 100; i++) memset(malloc(100000), 1, 100000);
  test_pass();
}
