/* Unix sockets: names that are gone, relative or reused; several senders; buffers, time-outs and offsets; halves that are shut; sockets in flight, in their own queue too. */
/* kmonte-shows: socket/unix/socket */
#include "kmonte-test.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

static struct sockaddr_un named(const char *name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, name);
  return address;
}

static int bound(int type, const char *name) {
  struct sockaddr_un address = named(name);
  int fd = socket(AF_UNIX, type, 0);
  test_check(bind(fd, (void *)&address, sizeof address) == 0, "bind %s", name);
  return fd;
}

static void reach(int fd, const char *name) {
  struct sockaddr_un address = named(name);
  test_check(connect(fd, (void *)&address, sizeof address) == 0, "connect to %s", name);
}

static void send_fd(int by, int fd) {
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec vector = {"f", 1};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  test_check(sendmsg(by, &message, 0) == 1, "sendmsg");
}

static int receive_fd(int by) {
  char control[CMSG_SPACE(sizeof(int))] = {0}, byte;
  struct iovec vector = {&byte, 1};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  test_check(recvmsg(by, &message, MSG_DONTWAIT) == 1 && CMSG_FIRSTHDR(&message), "recvmsg");
  int fd;
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  return fd;
}

static void named_as(int fd, const char *name) {
  struct sockaddr_un address = {0};
  socklen_t length = sizeof address;
  test_check(getsockname(fd, (void *)&address, &length) == 0 && strcmp(address.sun_path, name) == 0, "%s is not %s", address.sun_path, name);
}

int main(void) {
  test_begin();
  umask(0);
  mkdir("a", 0755), mkdir("a/b", 0755);
  test_check(chdir("a/b") == 0, "chdir");
  int relative = bound(SOCK_STREAM, "relative"), up = bound(SOCK_DGRAM, "../up");
  chmod("relative", 0604), chown("relative", 12, 34);
  test_check(chdir("../..") == 0 && listen(relative, 3) == 0, "listen");
  int client = socket(AF_UNIX, SOCK_STREAM, 0);
  reach(client, "a/b/relative");
  int server = accept(relative, NULL, NULL);
  int old = bound(SOCK_DGRAM, "reused");
  unlink("reused");
  int new = bound(SOCK_DGRAM, "reused"), gone = bound(SOCK_STREAM, "gone");
  unlink("gone");
  test_check(listen(gone, 1) == 0, "listen on what is gone");
  int receiver = bound(SOCK_DGRAM, "receiver"), one = bound(SOCK_DGRAM, "one"), two = socket(AF_UNIX, SOCK_DGRAM, 0);
  struct sockaddr_un to = named("receiver");
  test_check(sendto(one, "first", 5, 0, (void *)&to, sizeof to) == 5 && sendto(two, "second", 6, 0, (void *)&to, sizeof to) == 6 && sendto(one, "", 0, 0, (void *)&to, sizeof to) == 0, "send");
  reach(two, "receiver");
  int self = bound(SOCK_DGRAM, "self");
  reach(self, "self");
  test_check(write(self, "to oneself", 10) == 10, "self");
  int pair[2], flight[2], own[2], ring[2];
  test_check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, flight) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, own) == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ring) == 0, "pairs");
  int size = 100000, offset = 3, on = 1;
  struct timeval timeout = {3, 250000}, timeout_now;
  setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  setsockopt(pair[1], SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset), setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  test_check(write(pair[0], "0123456789", 10) == 10 && shutdown(pair[0], SHUT_WR) == 0, "shut");
  send_fd(flight[0], own[0]), send_fd(own[1], own[1]), send_fd(own[1], flight[1]);
  close(own[0]);
  test_check(send(ring[0], "seq", 3, 0) == 3 && send(ring[0], "", 0, 0) == 0 && send(ring[0], "packet", 6, 0) == 6, "seqpacket");
  close(ring[0]);
  int sndbuf;
  socklen_t length = sizeof sndbuf;
  getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &sndbuf, &length);

  test_ready_and_wait();

  struct stat stat1;
  char buffer[100];
  named_as(relative, "relative"), named_as(up, "../up"), named_as(server, "relative"), named_as(old, "reused"), named_as(new, "reused"), named_as(gone, "gone");
  test_check(stat("a/b/relative", &stat1) == 0 && (stat1.st_mode & 0777) == 0604 && stat1.st_uid == 12 && S_ISSOCK(stat1.st_mode), "the socket file");
  test_check(stat("a/up", &stat1) == 0 && stat("gone", &stat1) == -1, "names");
  int again = socket(AF_UNIX, SOCK_STREAM, 0);
  reach(again, "a/b/relative");
  test_check(accept(relative, NULL, NULL) >= 0, "accept");
  test_check(write(client, "hello", 5) == 5 && read(server, buffer, 100) == 5, "connection");
  to = named("reused");
  test_check(sendto(one, "x", 1, 0, (void *)&to, sizeof to) == 1 && recv(old, buffer, 9, MSG_DONTWAIT) == -1 && recv(new, buffer, 9, MSG_DONTWAIT) == 1, "reused");
  struct sockaddr_un from;
  length = sizeof from;
  memset(&from, 0, sizeof from);
  test_check(recvfrom(receiver, buffer, 100, 0, (void *)&from, &length) == 5 && strcmp(from.sun_path, "one") == 0, "first from %s", from.sun_path);
  length = sizeof from;
  test_check(recvfrom(receiver, buffer, 100, 0, (void *)&from, &length) == 6 && length <= sizeof(sa_family_t), "second");
  test_check(recv(receiver, buffer, 100, MSG_DONTWAIT) == 0, "nothing at all");
  test_check(write(two, "third", 5) == 5 && recv(receiver, buffer, 100, MSG_DONTWAIT) == 5, "third");
  test_check(read(self, buffer, 100) == 10 && write(self, "again", 5) == 5 && read(self, buffer, 100) == 5, "self");
  int now;
  length = sizeof now;
  test_check(getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &now, &length) == 0 && now == sndbuf, "buffer %d %d", now, sndbuf);
  length = sizeof timeout_now;
  test_check(getsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &timeout_now, &length) == 0 && timeout_now.tv_sec == 3 && timeout_now.tv_usec / 10000 == 25, "time-out");
  test_check(recv(pair[1], buffer, 4, MSG_PEEK) == 4 && memcmp(buffer, "3456", 4) == 0, "offset");
  test_check(read(pair[1], buffer, 100) == 10 && read(pair[1], buffer, 1) == 0 && write(pair[1], "back", 4) == 4 && read(pair[0], buffer, 9) == 4, "halves");
  int got = receive_fd(flight[1]), inner = receive_fd(got), last = receive_fd(got);
  test_check(write(inner, "through", 7) == 7 && read(got, buffer, 100) == 7, "the one in its own queue");
  test_check(write(flight[0], "z", 1) == 1 && read(last, buffer, 9) == 1, "the last one");
  test_check(read(ring[1], buffer, 100) == 3 && read(ring[1], buffer, 100) == 0 && read(ring[1], buffer, 100) == 6 && read(ring[1], buffer, 100) == 0, "seqpacket");
  test_pass();
}
