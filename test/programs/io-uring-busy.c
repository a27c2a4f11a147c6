/* kmonte-refuses: IO_URING */
/* A worker of the kernel's reads from an empty pipe for an io_uring, and is no thread of the program. */
#include "kmonte-test.h"
#include "io-uring.h"

int main(void) {
  test_begin();
  ring_open(4, 0);
  int ends[2];
  char byte = 0;
  test_check(pipe(ends) == 0, "pipe");
  ring_submit((struct io_uring_sqe){.opcode = IORING_OP_READ, .flags = IOSQE_ASYNC, .fd = ends[0],
                                    .addr = (unsigned long)&byte, .len = 1, .off = -1}, 0);
  test_ready_and_wait();
  test_check(write(ends[1], "x", 1) == 1, "write");
  test_check(syscall(SYS_io_uring_enter, ring_fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 0, "enter");
  test_check(ring_reap() == 1 && byte == 'x', "it reads on");
  test_pass();
}
