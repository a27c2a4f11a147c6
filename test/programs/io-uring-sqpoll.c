/* kmonte-refuses: IO_URING */
/* An io_uring with a polling thread of the kernel's (IORING_SETUP_SQPOLL), which nobody can stop. */
#include "kmonte-test.h"
#include "io-uring.h"

int main(void) {
  test_begin();
  params.sq_thread_idle = 10;
  ring_open(4, IORING_SETUP_SQPOLL);
  test_ready_and_wait();
  test_pass();
}
