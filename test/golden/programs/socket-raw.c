/* kmonte-shows: files/sockets/raw */
/* Raw sockets: addresses, options, filters, and packets of protocols that the kernel leaves alone. */
#include "kmonte-test.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#define EXPERIMENT 253 /* RFC 3692 */
#define SOL_RAW 255
#define ICMP_FILTER 1

static int raw(int family, int protocol) {
  int fd = socket(family, SOCK_RAW, protocol);
  test_check(fd >= 0, "socket of protocol %d", protocol);
  return fd;
}

static void expect(int fd, const char *text, int skip) {
  char packet[100];
  ssize_t got = recv(fd, packet, sizeof packet, MSG_DONTWAIT);
  test_check(got == skip + (ssize_t)strlen(text), "%zd bytes", got);
  test_check(memcmp(packet + skip, text, strlen(text)) == 0, "%s is another", text);
}

int main(void) {
  test_begin();
  struct sockaddr_in five = {.sin_family = AF_INET};
  inet_pton(AF_INET, "127.0.0.5", &five.sin_addr);
  struct sockaddr_in6 one = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int four = raw(AF_INET, EXPERIMENT), six = raw(AF_INET6, EXPERIMENT), sender = raw(AF_INET, EXPERIMENT);
  int ping = raw(AF_INET, IPPROTO_ICMP), header = raw(AF_INET, IPPROTO_RAW);
  test_check(bind(four, (struct sockaddr *)&five, sizeof five) == 0, "bind");
  test_check(bind(six, (struct sockaddr *)&one, sizeof one) == 0, "bind of IPv6");
  test_check(connect(sender, (struct sockaddr *)&five, sizeof five) == 0, "connect");
  int ttl = 9, on = 1;
  unsigned filter = ~1u;
  test_check(setsockopt(sender, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl) == 0, "IP_TTL");
  test_check(setsockopt(four, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) == 0, "IP_PKTINFO");
  test_check(setsockopt(ping, SOL_RAW, ICMP_FILTER, &filter, sizeof filter) == 0, "ICMP_FILTER");
  test_check(send(sender, "one", 3, 0) == 3, "send");
  test_check(sendto(raw(AF_INET6, EXPERIMENT), "six", 3, 0, (struct sockaddr *)&one, sizeof one) == 3, "send of IPv6");
  test_ready_and_wait();
  expect(four, "one", 20);
  expect(six, "six", 0);
  test_check(send(sender, "two", 3, 0) == 3, "send");
  char packet[100];
  test_check(recv(four, packet, sizeof packet, 0) == 23 && packet[8] == 9, "a second packet, with a TTL of %d", packet[8]);
  unsigned now = 0;
  socklen_t length = sizeof now;
  test_check(getsockopt(ping, SOL_RAW, ICMP_FILTER, &now, &length) == 0 && now == filter, "filter %x", now);
  length = sizeof on;
  test_check(getsockopt(header, IPPROTO_IP, IP_HDRINCL, &on, &length) == 0 && on == 1, "IP_HDRINCL");
  test_pass();
}
