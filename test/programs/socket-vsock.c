/* kmonte-refuses: SOCKET_FAMILY
   A socket to the machine's own virtual machines is refused by its family's name. */
/* kmonte-shows: socket/unsupported */
#include "kmonte-test.h"
#include <sys/socket.h>

int main(void) {
  test_begin();
  int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
  test_check(fd >= 0, "socket");
  test_ready_and_wait();
  int type = 0;
  socklen_t length = sizeof type;
  test_check(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM, "the socket has changed");
  test_pass();
}
