/* Droppable memory (mmap(2), MAP_DROPPABLE, Linux 6.11), as the C library keeps its random numbers in: empty, usable. */
#include "memory-maps.h"
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif

int main(void) {
  test_begin();
  char *at = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
  int there = at != MAP_FAILED;
  if (there) memset(at, 'd', 4096);
  maps_remember();
  test_ready_and_wait();
  maps_check();
  if (there) {
    test_check(at[0] == 'd' || at[0] == 0, "contents from elsewhere");
    memset(at, 'e', 8 * 4096);
    test_check(at[4096] == 'e', "not writable");
  }
  test_pass();
}
