/* kmonte-refuses: SYSCALL_USER_DISPATCH */
/* A thread whose system calls go to a handler of its own, outside of one stretch of code. */
#include "kmonte-test.h"
#include <sys/prctl.h>

static char selector;

int main(void) {
  test_begin();
  test_check(prctl(59, 1, 0, 0, &selector) == 0, "PR_SET_SYSCALL_USER_DISPATCH");
  test_ready_and_wait();
  test_pass();
}
