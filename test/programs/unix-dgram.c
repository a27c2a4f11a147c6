/* Datagram sockets with names: many senders to one receiver, senders' names kept, default targets, unread datagrams. */
/* kmonte-shows: socket/unix/socket */
#include "kmonte-test.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un address;
static socklen_t address_length;

static void name(const char *text) {
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  strcpy(address.sun_path, text);
  address_length = offsetof(struct sockaddr_un, sun_path) + strlen(text) + 1;
}

static int bound(const char *text) {
  name(text);
  int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  test_check(bind(fd, (struct sockaddr *)&address, address_length) == 0, "bind");
  return fd;
}

static void expect(int fd, const char *text, const char *sender) {
  struct sockaddr_un from = {0};
  socklen_t length = sizeof from;
  char data[64] = "";
  test_check(recvfrom(fd, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&from, &length) >= 0, "nothing for %s", text);
  test_check(strcmp(data, text) == 0, "%s instead of %s", data, text);
  test_check(strcmp(length > 2 ? from.sun_path : "", sender) == 0, "%s came from %s", text, from.sun_path);
}

int main(void) {
  test_begin();
  int receiver = bound("receiver");
  int sender = bound("sender");
  int passing = bound("passing");
  int nameless = socket(AF_UNIX, SOCK_DGRAM, 0);
  name("receiver");
  test_check(connect(sender, (struct sockaddr *)&address, address_length) == 0, "connect");
  test_check(send(sender, "first", 5, 0) == 5, "send");
  test_check(sendto(nameless, "second", 6, 0, (struct sockaddr *)&address, address_length) == 6, "sendto");
  test_check(sendto(passing, "third", 5, 0, (struct sockaddr *)&address, address_length) == 5, "sendto");
  close(passing);
  unlink("passing");
  test_ready_and_wait();
  expect(receiver, "first", "sender");
  expect(receiver, "second", "");
  expect(receiver, "third", "passing");
  char data[8];
  test_check(recv(receiver, data, 8, MSG_DONTWAIT) == -1 && errno == EAGAIN, "more");
  test_check(send(sender, "fourth", 6, 0) == 6, "send");
  expect(receiver, "fourth", "sender");
  name("sender");
  test_check(sendto(nameless, "x", 1, 0, (struct sockaddr *)&address, address_length) == -1 && errno == EPERM, "anyone can send to a connected socket");
  test_check(access("passing", F_OK) == -1, "a name that was gone is back");
  name("receiver");
  test_check(sendto(nameless, "fifth", 5, 0, (struct sockaddr *)&address, address_length) == 5, "sendto");
  expect(receiver, "fifth", "");
  test_pass();
}
