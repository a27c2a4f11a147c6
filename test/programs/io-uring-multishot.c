/* kmonte-refuses: IO_URING */
/* A poll that completes again and again has as many completions as submissions while it goes on. */
#include "kmonte-test.h"
#include "io-uring.h"
#include <poll.h>
#include <sys/eventfd.h>

int main(void) {
  test_begin();
  ring_open(4, 0);
  int event = eventfd(1, 0);
  ring_submit((struct io_uring_sqe){.opcode = IORING_OP_POLL_ADD, .fd = event, .len = IORING_POLL_ADD_MULTI,
                                    .poll32_events = POLLIN}, 1);
  test_check(ring_reap() == POLLIN, "the first");
  test_ready_and_wait();
  test_check(eventfd_write(event, 1) == 0, "write");
  test_check(syscall(SYS_io_uring_enter, ring_fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 0, "enter");
  test_check(ring_reap() == POLLIN, "the second");
  test_pass();
}
