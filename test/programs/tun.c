/* kmonte-refuses: DEVICE_TUN
   A network tunnel. */
/* kmonte-shows: files/refused */
#include "kmonte-test.h"
#include <fcntl.h>

int main(void) {
  test_begin();
  test_check(open("/dev/net/tun", O_RDWR) >= 0, "open");
  test_ready_and_wait();
  test_pass();
}
