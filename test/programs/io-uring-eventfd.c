/* kmonte-refuses: IO_URING */
/* An eventfd is registered with the ring, which /proc does not show: completions would be told to nobody. */
#include "kmonte-test.h"
#include "io-uring.h"
#include <stdint.h>
#include <sys/eventfd.h>

int main(void) {
  test_begin();
  ring_open(4, IORING_SETUP_SINGLE_ISSUER);
  int told = eventfd(0, EFD_NONBLOCK);
  uint64_t count = 0;
  test_check(syscall(SYS_io_uring_register, ring_fd, IORING_REGISTER_EVENTFD, &told, 1) == 0, "register");
  test_ready_and_wait();
  ring_submit((struct io_uring_sqe){.opcode = IORING_OP_NOP}, 1);
  test_check(ring_reap() == 0 && read(told, &count, sizeof count) == sizeof count && count == 1, "told %ld", (long)count);
  test_pass();
}
