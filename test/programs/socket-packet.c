/*
 * A packet socket is refused by its family's name.
 * kmonte-refuses: SOCKET_FAMILY
 */
/* kmonte-shows: files/sockets/other */
#include "kmonte-test.h"
#include <netinet/in.h>
#include <sys/socket.h>

int main(void) {
  test_begin();
  int fd = socket(AF_PACKET, SOCK_RAW, 0);
  test_check(fd >= 0, "socket");
  test_ready_and_wait();
  int type = 0;
  socklen_t length = sizeof type;
  test_check(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_RAW, "the socket has changed");
  test_pass();
}
