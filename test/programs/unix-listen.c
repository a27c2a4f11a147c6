/*
 * Listening unix sockets, by path (relative too) and abstract: connections made, connections that wait, a named client,
 * socket files with their mode, a listener whose file is gone.
 */
/* kmonte-shows: socket/unix/socket socket/unix/pair */
#include "kmonte-test.h"
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static struct sockaddr_un address;
static socklen_t address_length;

static void name(const char *text, int abstract) {
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  strcpy(address.sun_path + abstract, text);
  address_length = offsetof(struct sockaddr_un, sun_path) + abstract + strlen(text) + !abstract;
}

static int bound(int type) {
  int fd = socket(AF_UNIX, type, 0);
  test_check(bind(fd, (struct sockaddr *)&address, address_length) == 0, "bind to %s", address.sun_path);
  return fd;
}

static int connected(int type) {
  int fd = socket(AF_UNIX, type, 0);
  test_check(connect(fd, (struct sockaddr *)&address, address_length) == 0, "connect to %s", address.sun_path);
  return fd;
}

static void talk(int a, int b) {
  char byte = 0;
  test_check(write(a, "q", 1) == 1 && recv(b, &byte, 1, MSG_DONTWAIT) == 1 && byte == 'q', "%d to %d", a, b);
  test_check(write(b, "r", 1) == 1 && recv(a, &byte, 1, MSG_DONTWAIT) == 1 && byte == 'r', "%d to %d", b, a);
}

static void check_name(int fd, const char *text) {
  struct sockaddr_un now = {0};
  socklen_t length = sizeof now;
  getsockname(fd, (struct sockaddr *)&now, &length);
  const char *is = now.sun_path[0] ? now.sun_path : now.sun_path + 1;
  test_check(strcmp(is, text) == 0, "%d is called %s instead of %s", fd, is, text);
}

int main(void) {
  test_begin();
  char hidden[64];
  snprintf(hidden, sizeof hidden, "kmonte-hidden-%d", getpid());
  name("relative.sock", 0);
  int listener = bound(SOCK_STREAM);
  chmod("relative.sock", 0640);
  listen(listener, 7);
  int client = connected(SOCK_STREAM);
  int server = accept(listener, NULL, NULL);
  int waiting1 = connected(SOCK_STREAM), waiting2 = connected(SOCK_STREAM);
  name("named-client", 0);
  int known = bound(SOCK_STREAM);
  name("relative.sock", 0);
  test_check(connect(known, (struct sockaddr *)&address, address_length) == 0, "connect");

  name(hidden, 1);
  int abstract = bound(SOCK_SEQPACKET);
  listen(abstract, 3);
  int hidden_client = connected(SOCK_SEQPACKET);
  int hidden_server = accept(abstract, NULL, NULL);
  name("removed.sock", 0);
  int removed = bound(SOCK_STREAM);
  listen(removed, 1);
  int last_client = connected(SOCK_STREAM);
  int last_server = accept(removed, NULL, NULL);
  unlink("removed.sock");
  close(removed);
  char byte;
  test_check(write(client, "early", 5) == 5, "write");

  test_ready_and_wait();

  char text[8] = "";
  test_check(read(server, text, 5) == 5 && strcmp(text, "early") == 0, "early bytes");
  talk(client, server);
  check_name(server, "relative.sock");
  check_name(known, "named-client");
  int first = accept(listener, NULL, NULL), second = accept(listener, NULL, NULL);
  struct sockaddr_un from = {0};
  socklen_t length = sizeof from;
  int third = accept(listener, (struct sockaddr *)&from, &length);
  test_check(strcmp(from.sun_path, "named-client") == 0, "accepted from %s", from.sun_path);
  talk(waiting1, first);
  talk(waiting2, second);
  talk(known, third);
  struct pollfd ask = {listener, POLLIN, 0};
  test_check(poll(&ask, 1, 0) == 0, "more connections than before");
  struct stat file;
  test_check(stat("relative.sock", &file) == 0 && (file.st_mode & 07777) == 0640, "mode %o", file.st_mode);
  name("relative.sock", 0);
  int fresh = connected(SOCK_STREAM);
  talk(fresh, accept(listener, NULL, NULL));
  talk(hidden_client, hidden_server);
  name(hidden, 1);
  fresh = connected(SOCK_SEQPACKET);
  talk(fresh, accept(abstract, NULL, NULL));
  check_name(hidden_server, hidden);
  talk(last_client, last_server);
  check_name(last_server, "removed.sock");
  test_check(access("removed.sock", F_OK) == -1, "a socket file that was gone is back");
  struct ucred peer;
  length = sizeof peer;
  getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &length);
  test_check(peer.pid == getpid(), "the peer is %d", peer.pid);
  (void)byte;
  test_pass();
}
