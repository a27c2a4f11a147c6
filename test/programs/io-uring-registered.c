/* kmonte-refuses: IO_URING */
/* The descriptor of the ring is registered with the thread (IORING_REGISTER_RING_FDS), which /proc does not show. */
#include "kmonte-test.h"
#include "io-uring.h"

int main(void) {
  test_begin();
  ring_open(4, 0);
  struct io_uring_rsrc_update update = {.offset = -1U, .data = ring_fd};
  test_check(syscall(SYS_io_uring_register, ring_fd, IORING_REGISTER_RING_FDS, &update, 1) == 1, "register");
  test_ready_and_wait();
  test_check(syscall(SYS_io_uring_enter, update.offset, 0, 0, IORING_ENTER_REGISTERED_RING, NULL, 0) == 0, "enter");
  test_pass();
}
