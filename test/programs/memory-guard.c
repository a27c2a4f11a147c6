/* Guard regions (madvise(2), MADV_GUARD_INSTALL): still there, or nothing to see on kernels that have none. */
#include "memory-maps.h"
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#include <setjmp.h>

static sigjmp_buf back;
static void on_fault(int signal) {
  (void)signal;
  siglongjmp(back, 1);
}

int main(void) {
  test_begin();
  char *at = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(at, 'g', 16 * 4096);
  int guarded = madvise(at + 4 * 4096, 2 * 4096, MADV_GUARD_INSTALL) == 0;
  test_ready_and_wait();
  signal(SIGSEGV, on_fault);
  for (volatile int page = 0; page < 16; page++) {
    int expected = guarded && (page == 4 || page == 5);
    if (sigsetjmp(back, 1) == 0) {
      test_check(*(volatile char *)(at + page * 4096) == 'g', "page %d has other contents", page);
      test_check(!expected, "the guard of page %d is gone", page);
    } else test_check(expected, "page %d is guarded", page);
  }
  test_pass();
}
