/* kmonte-shows: files/sockets/tcp-connecting */
/* A connection in the making (SYN_SENT): the first packet finds a full backlog, and is sent again after the thaw. */
#include "kmonte-test.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

static struct sockaddr_in address = {.sin_family = AF_INET};

static int client(int flags) {
  int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
  test_check(fd >= 0, "socket");
  int result = connect(fd, (struct sockaddr *)&address, sizeof address);
  test_check(flags ? result < 0 && errno == EINPROGRESS : result == 0, "connect");
  return fd;
}

static int state(int fd) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  test_check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0, "TCP_INFO");
  return info.tcpi_state;
}

int main(void) {
  test_begin();
  int server = socket(AF_INET, SOCK_STREAM, 0);
  socklen_t length = sizeof address;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  test_check(bind(server, (struct sockaddr *)&address, sizeof address) == 0 && listen(server, 1) == 0, "listen");
  test_check(getsockname(server, (struct sockaddr *)&address, &length) == 0, "getsockname");
  int first[2] = {client(0), client(0)}, waiting = client(SOCK_NONBLOCK);
  struct sockaddr_in before, after;
  length = sizeof before;
  test_check(getsockname(waiting, (struct sockaddr *)&before, &length) == 0, "getsockname");
  test_check(state(waiting) == TCP_SYN_SENT, "state %d", state(waiting));
  test_ready_and_wait();
  length = sizeof after;
  test_check(getsockname(waiting, (struct sockaddr *)&after, &length) == 0, "getsockname");
  test_check(memcmp(&before, &after, sizeof before) == 0, "port was %d, is %d", ntohs(before.sin_port), ntohs(after.sin_port));
  int accepted[3];
  for (int i = 0; i < 3; i++) test_check((accepted[i] = accept(server, NULL, NULL)) >= 0, "accept");
  struct pollfd ready = {.fd = waiting, .events = POLLOUT};
  test_check(poll(&ready, 1, 10000) == 1 && state(waiting) == TCP_ESTABLISHED, "state %d", state(waiting));
  char got;
  test_check(write(waiting, "c", 1) == 1 && read(accepted[2], &got, 1) == 1 && got == 'c', "talking");
  test_check(write(first[0], "a", 1) == 1 && read(accepted[0], &got, 1) == 1 && got == 'a', "talking");
  test_check(write(first[1], "b", 1) == 1 && read(accepted[1], &got, 1) == 1 && got == 'b', "talking");
  test_pass();
}
