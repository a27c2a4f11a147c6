/* kmonte-shows: memory/node-policy */
/* Parts of the memory that take their pages from chosen nodes (mbind(2)). */
#include "kmonte-test.h"
#include <sys/mman.h>
#include <sys/syscall.h>

#define MPOL_PREFERRED 1
#define MPOL_BIND 2
#define MPOL_INTERLEAVE 3
#define MPOL_F_ADDR 2
#define PAGE 4096

static int policy(char *at, unsigned long *mask) {
  int mode = -1;
  unsigned long nodes[16] = {0};
  test_check(syscall(SYS_get_mempolicy, &mode, nodes, 1024, at, MPOL_F_ADDR) == 0, "get_mempolicy");
  *mask = nodes[0];
  return mode;
}

int main(void) {
  test_begin();
  unsigned long node = 1, mask;
  char *memory = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *shared = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int none = syscall(SYS_mbind, memory, 2 * PAGE, MPOL_BIND, &node, 64, 0) < 0 && errno == ENOSYS;
  if (!none) {
    test_check(syscall(SYS_mbind, memory + 3 * PAGE, PAGE, MPOL_PREFERRED, &node, 64, 0) == 0, "preferred");
    test_check(syscall(SYS_mbind, shared, 4 * PAGE, MPOL_INTERLEAVE, &node, 64, 0) == 0, "interleave");
  }
  for (int i = 0; i < 8; i++) memory[i * PAGE] = i;
  test_ready_and_wait();
  for (int i = 0; i < 8; i++) test_check(memory[i * PAGE] == i, "page %d", i);
  if (none) test_pass();
  int want[8] = {MPOL_BIND, MPOL_BIND, 0, MPOL_PREFERRED};
  for (int i = 0; i < 8; i++) {
    int mode = policy(memory + i * PAGE, &mask);
    test_check(mode == want[i] && mask == (mode ? 1 : 0), "page %d: mode %d, nodes %lx", i, mode, mask);
  }
  test_check(policy(shared, &mask) == MPOL_INTERLEAVE && mask == 1, "shared memory");
  test_pass();
}
