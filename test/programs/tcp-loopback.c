/*
 * TCP connections with both ends in the program, IPv4 and IPv6: bytes read by nobody yet, bytes that found the window
 * closed, options, and every state that a half-closed connection goes through.
 */
/* kmonte-shows: socket/tcp/connection */
#include "kmonte-test.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static void make_pair(int family, int pair[2]) {
  struct sockaddr_in6 address = {0};
  socklen_t length = sizeof address;
  int listener = socket(family, SOCK_STREAM, 0);
  address.sin6_family = family;
  if (family == AF_INET6) address.sin6_addr = in6addr_loopback;
  else ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  test_check(bind(listener, (struct sockaddr *)&address, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof address) == 0, "bind");
  test_check(listen(listener, 1) == 0, "listen");
  getsockname(listener, (struct sockaddr *)&address, &length);
  pair[0] = socket(family, SOCK_STREAM, 0);
  test_check(connect(pair[0], (struct sockaddr *)&address, length) == 0, "connect");
  pair[1] = accept(listener, NULL, NULL);
  test_check(pair[1] >= 0, "accept");
  close(listener);
}

static unsigned char byte_at(size_t i) { return (unsigned char)(i * 31 + i / 251); }

/* Writes until nothing more fits; returns how much did. */
static size_t stuff(int fd) {
  static unsigned char chunk[4096];
  size_t total = 0;
  fcntl(fd, F_SETFL, O_NONBLOCK);
  for (;;) {
    for (size_t i = 0; i < sizeof chunk; i++) chunk[i] = byte_at(total + i);
    ssize_t got = write(fd, chunk, sizeof chunk);
    if (got <= 0) break;
    total += got;
  }
  return total;
}

static void drain(int fd, size_t expected) {
  static unsigned char chunk[65536];
  size_t total = 0;
  struct timeval patience = {10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  while (total < expected) {
    ssize_t got = read(fd, chunk, sizeof chunk);
    test_check(got > 0, "end after %zu of %zu bytes", total, expected);
    for (ssize_t i = 0; i < got; i++) test_check(chunk[i] == byte_at(total + i), "byte %zu", total + i);
    total += got;
  }
  test_check(total == expected, "%zu bytes instead of %zu", total, expected);
}

static void talk(int a, int b) {
  char text[8] = "";
  test_check(write(a, "ping", 4) == 4 && read(b, text, 4) == 4 && memcmp(text, "ping", 4) == 0, "ping");
  test_check(write(b, "pong", 4) == 4 && read(a, text, 4) == 4 && memcmp(text, "pong", 4) == 0, "pong");
}

static int state_of(int fd) {
  struct tcp_info info = {0};
  socklen_t length = sizeof info;
  getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
  return info.tcpi_state;
}

int main(void) {
  test_begin();
  int idle[2], six[2], full[2], half[2], shut[2], on = 1;
  make_pair(AF_INET, idle);
  make_pair(AF_INET6, six);
  make_pair(AF_INET, full);
  make_pair(AF_INET, half);
  make_pair(AF_INET, shut);
  setsockopt(idle[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  talk(idle[0], idle[1]);
  test_check(write(six[0], "early", 5) == 5 && write(six[1], "late", 4) == 4, "write");
  size_t there = stuff(full[0]), back = stuff(full[1]);
  test_check(there > 100000 && back > 100000, "%zu and %zu bytes", there, back);
  test_check(write(half[0], "bye", 3) == 3 && shutdown(half[0], SHUT_WR) == 0, "half");
  size_t behind = stuff(shut[0]);
  test_check(shutdown(shut[0], SHUT_WR) == 0, "shutdown");
  usleep(100000);
  int states[] = {state_of(half[0]), state_of(half[1]), state_of(shut[0])};
  test_check(states[0] == TCP_FIN_WAIT2 && states[1] == TCP_CLOSE_WAIT && states[2] == TCP_FIN_WAIT1, "%d %d %d", states[0], states[1], states[2]);

  test_ready_and_wait();

  test_check(state_of(half[0]) == states[0] && state_of(half[1]) == states[1], "states %d %d", state_of(half[0]), state_of(half[1]));
  int nodelay = 0;
  socklen_t length = sizeof nodelay;
  getsockopt(idle[0], IPPROTO_TCP, TCP_NODELAY, &nodelay, &length);
  test_check(nodelay == 1, "TCP_NODELAY");
  talk(idle[0], idle[1]);
  char text[8] = "";
  test_check(read(six[1], text, 8) == 5 && memcmp(text, "early", 5) == 0, "early: %s", text);
  test_check(read(six[0], text, 8) == 4 && memcmp(text, "late", 4) == 0, "late: %s", text);
  talk(six[0], six[1]);
  drain(full[1], there);
  fcntl(full[0], F_SETFL, 0);
  drain(full[0], back);
  fcntl(full[1], F_SETFL, 0);
  talk(full[0], full[1]);
  test_check(read(half[1], text, 8) == 3 && read(half[1], text, 8) == 0, "the end of half");
  test_check(write(half[1], "tail", 4) == 4 && read(half[0], text, 8) == 4, "the open half");
  close(half[1]);
  test_check(read(half[0], text, 8) == 0, "the end");
  drain(shut[1], behind);
  test_check(read(shut[1], text, 8) == 0, "no end behind the bytes");
  test_check(write(shut[1], "ok", 2) == 2 && read(shut[0], text, 8) == 2, "the other direction");
  test_pass();
}
