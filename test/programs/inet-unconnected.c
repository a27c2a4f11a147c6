/* TCP that listens (IPv4, IPv6, IPv6 alone) or is only bound, and UDP bound and connected, with their options. */
/* kmonte-shows: socket/inet */
#include "kmonte-test.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static struct sockaddr_storage local_address(int fd) {
  struct sockaddr_storage address = {0};
  socklen_t length = sizeof address;
  test_check(getsockname(fd, (struct sockaddr *)&address, &length) == 0, "getsockname");
  return address;
}

static int bound(int family, int type, int v6only) {
  int fd = socket(family, type, 0), on = 1;
  struct sockaddr_in six = {0};
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
  six.sin_family = AF_INET;
  six.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (v6only) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (family == AF_INET) test_check(bind(fd, (struct sockaddr *)&six, sizeof six) == 0, "bind");
  else test_check(bind(fd, (struct sockaddr *)&any, sizeof any) == 0, "bind");
  return fd;
}

static int option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  test_check(getsockopt(fd, level, name, &value, &length) == 0, "option %d/%d", level, name);
  return value;
}

static void talk_tcp(int listener, int family) {
  struct sockaddr_storage address = local_address(listener);
  if (family == AF_INET6) ((struct sockaddr_in6 *)&address)->sin6_addr = in6addr_loopback;
  int client = socket(family, SOCK_STREAM, 0);
  test_check(connect(client, (struct sockaddr *)&address, sizeof address) == 0, "connect");
  int server = accept(listener, NULL, NULL);
  char byte;
  test_check(write(client, "x", 1) == 1 && read(server, &byte, 1) == 1, "talk");
  close(client);
  close(server);
}

int main(void) {
  test_begin();
  int four = bound(AF_INET, SOCK_STREAM, 0), on = 1, forty = 40, tos = 0x10;
  setsockopt(four, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(four, IPPROTO_TCP, TCP_KEEPIDLE, &forty, sizeof forty);
  setsockopt(four, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(four, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
  struct linger linger = {1, 9}, linger_now;
  setsockopt(four, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  listen(four, 17);
  talk_tcp(four, AF_INET); /* leaves something in TIME_WAIT */
  int six = bound(AF_INET6, SOCK_STREAM, 0), only = bound(AF_INET6, SOCK_STREAM, 1);
  listen(six, 5);
  listen(only, 6);
  int plain = bound(AF_INET, SOCK_STREAM, 0), fresh = socket(AF_INET6, SOCK_STREAM, 0);
  setsockopt(fresh, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  int receiver = bound(AF_INET, SOCK_DGRAM, 0), sender = bound(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_storage target = local_address(receiver);
  test_check(connect(sender, (struct sockaddr *)&target, sizeof(struct sockaddr_in)) == 0, "connect");
  setsockopt(sender, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
  struct sockaddr_storage before[5] = {local_address(four), local_address(six), local_address(only), local_address(plain), local_address(sender)};

  test_ready_and_wait();

  int fds[5] = {four, six, only, plain, sender};
  for (int i = 0; i < 5; i++) {
    struct sockaddr_storage now = local_address(fds[i]);
    test_check(memcmp(&now, &before[i], sizeof now) == 0, "another address of %d", i);
  }
  talk_tcp(four, AF_INET);
  talk_tcp(six, AF_INET6);
  talk_tcp(only, AF_INET6);
  test_check(option(only, IPPROTO_IPV6, IPV6_V6ONLY) == 1 && option(six, IPPROTO_IPV6, IPV6_V6ONLY) == 0, "IPV6_V6ONLY");
  test_check(option(four, SOL_SOCKET, SO_REUSEADDR) == 1 && option(six, SOL_SOCKET, SO_REUSEADDR) == 0, "SO_REUSEADDR");
  test_check(option(four, SOL_SOCKET, SO_KEEPALIVE) == 1 && option(four, IPPROTO_TCP, TCP_KEEPIDLE) == 40, "keepalive");
  test_check(option(four, IPPROTO_IP, IP_TOS) == 0x10, "IP_TOS");
  socklen_t length = sizeof linger_now;
  getsockopt(four, SOL_SOCKET, SO_LINGER, &linger_now, &length);
  test_check(linger_now.l_onoff == 1 && linger_now.l_linger == 9, "SO_LINGER %d %d", linger_now.l_onoff, linger_now.l_linger);
  struct tcp_info info;
  length = sizeof info;
  getsockopt(four, IPPROTO_TCP, TCP_INFO, &info, &length);
  test_check(info.tcpi_state == TCP_LISTEN && info.tcpi_sacked == 17, "backlog %u", info.tcpi_sacked);
  test_check(option(fresh, IPPROTO_TCP, TCP_NODELAY) == 1, "TCP_NODELAY");
  test_check(listen(plain, 1) == 0, "listen");
  talk_tcp(plain, AF_INET);
  char data[8];
  test_check(send(sender, "hello", 5, 0) == 5 && recv(receiver, data, 8, 0) == 5, "datagram");
  test_check(option(sender, SOL_SOCKET, SO_BROADCAST) == 1, "SO_BROADCAST");
  test_pass();
}
