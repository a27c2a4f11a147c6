/* An io_uring without a submission array (IORING_SETUP_NO_SQARRAY), as liburing makes them, and too large for the place
   of the array to be there all the same. A kernel older than the flag makes one with an array.
   kmonte-shows: async-io/io-uring */
#include "kmonte-test.h"
#include "io-uring.h"

#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif
#define ENTRIES 2048

static void submit_and_reap(unsigned times) {
  for (unsigned i = 0; i < times; i++) {
    ring_submit((struct io_uring_sqe){.opcode = IORING_OP_NOP}, 1);
    test_check(ring_reap() == 0, "nothing done");
  }
}

int main(void) {
  test_begin();
  struct io_uring_params asked = {.flags = IORING_SETUP_NO_SQARRAY};
  int fd = syscall(SYS_io_uring_setup, 1, &asked);
  if (fd >= 0)
    close(fd);
  ring_open(ENTRIES, fd >= 0 ? IORING_SETUP_NO_SQARRAY : 0);
  submit_and_reap(21);
  test_ready_and_wait();
  test_check(AT(params.sq_off.tail) == 21 && AT(params.sq_off.head) == 21, "counters of submissions");
  submit_and_reap(2 * ENTRIES);
  test_pass();
}
