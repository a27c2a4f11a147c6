/*
 * Socket pairs of every type keep what was sent both ways: bytes, message boundaries, files in flight (a socket among
 * them that has files in flight itself), halves that were shut down, options and the peer's credentials.
 */
/* kmonte-shows: socket/unix/socket socket/unix/pair */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static void send_with(int to, const char *text, size_t length, const int *fds, int count) {
  char control[CMSG_SPACE(sizeof(int) * 8)];
  struct iovec part = {(void *)text, length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
  }
  test_check(sendmsg(to, &message, 0) == (ssize_t)length, "send of %s", text);
}

/* Receives one message; returns the files that came with it. */
static int receive(int from, const char *text, size_t length, int *fds, struct ucred *sender) {
  static char data[300000];
  char control[512];
  struct iovec part = {data, sizeof data};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t got = recvmsg(from, &message, MSG_DONTWAIT);
  test_check(got == (ssize_t)length, "%zd bytes instead of %zu of %.20s", got, length, text);
  test_check(memcmp(data, text, length) == 0, "other bytes than %.20s", text);
  int count = 0;
  for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_type == SCM_RIGHTS) {
      count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      memcpy(fds, CMSG_DATA(h), count * sizeof(int));
    } else if (h->cmsg_type == SCM_CREDENTIALS && sender) {
      memcpy(sender, CMSG_DATA(h), sizeof *sender);
    }
  }
  return count;
}

static void check_empty(int fd) {
  char byte;
  test_check(recv(fd, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN, "something more in %d", fd);
}

int main(void) {
  test_begin();
  int stream[2], dgram[2], packets[2], inner[2], ends[2], half[2], lost[2], gone[2], self[2], on = 1, fds[8];
  test_check(socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0, "pair");
  test_check(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, dgram) == 0, "pair");
  test_check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets) == 0, "pair");
  test_check(socketpair(AF_UNIX, SOCK_STREAM, 0, inner) == 0, "pair");
  test_check(socketpair(AF_UNIX, SOCK_STREAM, 0, half) == 0, "pair");
  test_check(socketpair(AF_UNIX, SOCK_STREAM, 0, lost) == 0, "pair");
  test_check(socketpair(AF_UNIX, SOCK_STREAM, 0, gone) == 0, "pair");
  test_check(socketpair(AF_UNIX, SOCK_STREAM, 0, self) == 0, "pair");
  test_check(pipe(ends) == 0, "pipe");

  static char large[100000];
  for (size_t i = 0; i < sizeof large; i++) large[i] = (char)(i * 13 + i / 255);
  send_with(stream[0], large, sizeof large, NULL, 0);
  send_with(stream[1], "back", 4, NULL, 0);

  setsockopt(dgram[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  send_with(dgram[0], "one", 3, NULL, 0);
  send_with(dgram[0], "", 0, NULL, 0);
  send_with(dgram[0], "three", 5, NULL, 0);
  for (int i = 0; i < 30; i++) send_with(packets[1], large + i, 10 + i, NULL, 0);

  /* A pipe's reading end lives in a message only, inside a socket that lives in a message only. */
  test_check(write(ends[1], "in the pipe", 11) == 11, "write");
  send_with(inner[0], "pipe", 4, &ends[0], 1);
  send_with(inner[0], "more", 4, NULL, 0);
  close(ends[0]);
  int both[2] = {inner[1], STDOUT_FILENO};
  send_with(packets[0], "socket", 6, both, 2);
  send_with(packets[0], "plain", 5, NULL, 0);
  close(inner[1]);
  /* A socket that travels over its own pair. */
  send_with(self[0], "me", 2, &self[1], 1);

  send_with(half[0], "last words", 10, NULL, 0);
  test_check(shutdown(half[0], SHUT_WR) == 0, "shutdown");
  send_with(lost[0], "before the end", 14, NULL, 0);
  close(lost[0]);
  send_with(gone[0], "never read", 10, NULL, 0);
  close(gone[1]);
  int size = 60000, shown = 0, shown_now = 0;
  setsockopt(stream[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  struct timeval wait = {3, 500000}, wait_now;
  setsockopt(stream[1], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  socklen_t length = sizeof shown;
  getsockopt(stream[0], SOL_SOCKET, SO_SNDBUF, &shown, &length);

  test_ready_and_wait();

  struct ucred sender = {0}, peer = {0};
  receive(stream[1], large, sizeof large, fds, NULL);
  receive(stream[0], "back", 4, fds, NULL);
  check_empty(stream[0]);
  check_empty(stream[1]);
  getsockopt(stream[0], SOL_SOCKET, SO_SNDBUF, &shown_now, &length);
  test_check(shown_now == shown, "buffer of %d instead of %d", shown_now, shown);
  length = sizeof wait_now;
  getsockopt(stream[1], SOL_SOCKET, SO_RCVTIMEO, &wait_now, &length);
  test_check(wait_now.tv_sec == 3 && wait_now.tv_usec / 10000 == 50, "SO_RCVTIMEO %ld.%06ld", wait_now.tv_sec, wait_now.tv_usec);
  length = sizeof peer;
  getsockopt(stream[0], SOL_SOCKET, SO_PEERCRED, &peer, &length);
  test_check(peer.pid == getpid() && peer.uid == geteuid(), "the peer is %d", peer.pid);

  receive(dgram[1], "one", 3, fds, &sender);
  test_check(sender.pid == getpid() && sender.uid == getuid(), "the sender is %d", sender.pid);
  receive(dgram[1], "", 0, fds, NULL);
  receive(dgram[1], "three", 5, fds, NULL);
  check_empty(dgram[1]);
  for (int i = 0; i < 30; i++) receive(packets[0], large + i, 10 + i, fds, NULL);
  check_empty(packets[0]);

  test_check(receive(packets[1], "socket", 6, fds, NULL) == 2, "files in flight");
  struct stat there, here;
  test_check(fstat(fds[1], &there) == 0 && fstat(STDOUT_FILENO, &here) == 0 && there.st_ino == here.st_ino, "another file");
  int travelled = fds[0];
  test_check(receive(packets[1], "plain", 5, fds, NULL) == 0, "files that nobody sent");
  test_check(receive(travelled, "pipe", 4, fds, NULL) == 1, "the inner file");
  char text[32];
  test_check(read(fds[0], text, sizeof text) == 11 && memcmp(text, "in the pipe", 11) == 0, "the pipe in flight");
  receive(travelled, "more", 4, fds, NULL);
  test_check(write(inner[0], "y", 1) == 1 && read(travelled, text, 1) == 1, "the socket that was in flight");
  send_with(self[0], "x", 1, NULL, 0);

  receive(half[1], "last words", 10, fds, NULL);
  test_check(recv(half[1], text, 1, MSG_DONTWAIT) == 0, "no end of file");
  test_check(send(half[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE, "not shut down");
  test_check(send(half[1], "x", 1, 0) == 1 && recv(half[0], text, 1, MSG_DONTWAIT) == 1, "the other half");
  receive(lost[1], "before the end", 14, fds, NULL);
  test_check(recv(lost[1], text, 1, MSG_DONTWAIT) == 0, "no end of file");
  test_check(recv(gone[0], text, 1, MSG_DONTWAIT) == -1 && errno == ECONNRESET, "no reset");
  test_check(fcntl(dgram[0], F_GETFD) == FD_CLOEXEC && fcntl(stream[0], F_GETFD) == 0, "close-on-exec");
  send_with(dgram[1], "alive", 5, NULL, 0);
  receive(dgram[0], "alive", 5, fds, NULL);
  test_pass();
}
