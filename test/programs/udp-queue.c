/* Datagrams that a UDP socket has not read yet keep their bytes, their order and their sender. */
/* kmonte-shows: socket/udp-queue */
#include "kmonte-test.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static int bound(int family, struct sockaddr_in6 *name) {
  int fd = socket(family, SOCK_DGRAM, 0);
  socklen_t length = sizeof *name;
  memset(name, 0, sizeof *name);
  name->sin6_family = family;
  if (family == AF_INET6) name->sin6_addr = in6addr_loopback;
  test_check(bind(fd, (struct sockaddr *)name, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof *name) == 0, "bind");
  getsockname(fd, (struct sockaddr *)name, &length);
  if (family == AF_INET) ((struct sockaddr_in *)name)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return fd;
}

static void expect(int fd, const char *text, size_t size, in_port_t port) {
  static char data[70000];
  struct sockaddr_in6 from;
  socklen_t length = sizeof from;
  ssize_t got = recvfrom(fd, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
  test_check(got == (ssize_t)size && memcmp(data, text, size) == 0, "%zd bytes instead of %zu", got, size);
  test_check(from.sin6_port == port, "another sender");
}

int main(void) {
  test_begin();
  static char large[20001];
  for (size_t i = 0; i < sizeof large; i++) large[i] = (char)(i * 11);
  int families[] = {AF_INET, AF_INET6}, receivers[2], senders[2];
  struct sockaddr_in6 here[2], there[2];
  for (int i = 0; i < 2; i++) {
    receivers[i] = bound(families[i], &here[i]);
    senders[i] = bound(families[i], &there[i]);
    test_check(sendto(senders[i], "one", 3, 0, (struct sockaddr *)&here[i], sizeof here[i]) == 3, "send");
    test_check(sendto(senders[i], "", 0, 0, (struct sockaddr *)&here[i], sizeof here[i]) == 0, "send");
    test_check(sendto(senders[i], large, sizeof large, 0, (struct sockaddr *)&here[i], sizeof here[i]) == sizeof large, "send");
  }
  test_ready_and_wait();
  for (int i = 0; i < 2; i++) {
    expect(receivers[i], "one", 3, there[i].sin6_port);
    expect(receivers[i], "", 0, there[i].sin6_port);
    expect(receivers[i], large, sizeof large, there[i].sin6_port);
    char byte;
    test_check(recv(receivers[i], &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN, "more");
  }
  test_pass();
}
