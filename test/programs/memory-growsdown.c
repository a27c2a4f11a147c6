/* Stacks grow after the thaw: the main one, and one of MAP_GROWSDOWN. */
#include "memory-maps.h"

static volatile char *low;

__attribute__((noinline)) static int deep(int levels) {
  volatile char frame[4096];
  frame[0] = (char)levels;
  int below = levels > 0 ? deep(levels - 1) : 0;
  return below + frame[0];
}

int main(void) {
  test_begin();
  char *room = mmap(NULL, 16 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(room, 16 << 20);
  char *stack = mmap(room + (12 << 20), 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
  test_check(stack != MAP_FAILED, "growsdown");
  for (int i = 0; i < 20; i++) stack[-i * 4096] = (char)i;
  maps_remember();
  test_ready_and_wait();
  maps_check();
  for (int i = 0; i < 20; i++) test_check(stack[-i * 4096] == (char)i, "page %d", i);
  for (int i = 20; i < 40; i++) {
    low = stack - i * 4096;
    *low = (char)i;
  }
  test_check(stack[-39 * 4096] == 39, "grown");
  test_check(deep(1000) != 1, "deep");
  test_pass();
}
