/* Credentials on unix sockets: of peers that live, that have ended, with messages that wait, with other ids; backlogs with connections. */
/* kmonte-shows: socket/unix/socket */
#include "kmonte-test.h"
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static struct ucred received(int fd, int length) {
  char control[CMSG_SPACE(sizeof(struct ucred))] = {0}, data[100];
  struct iovec vector = {data, sizeof data};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct ucred credentials = {0};
  int got = recvmsg(fd, &message, MSG_DONTWAIT);
  test_check(got == length, "%d of %d", got, length);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  test_check(header && header->cmsg_type == SCM_CREDENTIALS, "no credentials");
  memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
  return credentials;
}

static struct ucred peer(int fd) {
  struct ucred credentials = {0};
  socklen_t length = sizeof credentials;
  test_check(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0, "SO_PEERCRED");
  return credentials;
}

static int same(struct ucred a, struct ucred b) { return a.pid == b.pid && a.uid == b.uid && a.gid == b.gid; }

int main(void) {
  test_begin();
  int on = 1, pair[2], stream[2];
  test_check(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0, "pair");
  setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), setsockopt(stream[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un name = {AF_UNIX, "listener"};
  test_check(bind(listener, (void *)&name, sizeof name) == 0 && listen(listener, 5) == 0, "listen");
  chmod("listener", 0777), chmod(".", 0777);
  /* In a pid namespace of its own, a message of someone who has ended is refused. */
  int alone = getpid() == 1;
  pid_t dead = fork();
  if (dead == 0) {
    if (alone) _exit(0);
    test_check(setresgid(2000, 2000, 2000) == 0 && setresuid(1000, 1000, 1000) == 0, "ids");
    test_check(write(pair[0], "dead", 4) == 4 && write(stream[0], "gone", 4) == 4, "write");
    _exit(0);
  }
  waitpid(dead, NULL, 0);
  pid_t living = fork();
  int client = -1;
  int hand[2];
  test_check(socketpair(AF_UNIX, SOCK_STREAM, 0, hand) == 0, "hand");
  if (living == 0) {
    test_check(setresgid(2001, 2001, 2001) == 0 && setresuid(1001, 1001, 1001) == 0, "ids");
    test_check(write(pair[0], "living", 6) == 6, "write");
    client = socket(AF_UNIX, SOCK_STREAM, 0);
    test_check(connect(client, (void *)&name, sizeof name) == 0, "connect");
    int waiting = socket(AF_UNIX, SOCK_STREAM, 0);
    test_check(connect(waiting, (void *)&name, sizeof name) == 0, "connect");
    test_ready();
    test_wait();
    _exit(write(client, "x", 1) == 1 && write(waiting, "later", 5) == 5 ? 0 : 1);
  }
  int server = accept(listener, NULL, NULL);
  struct ucred before = peer(server), before_pair = peer(pair[0]);
  test_check(before.pid == living && before.uid == 1001, "peer");
  test_check(write(pair[0], "self", 4) == 4, "write");

  test_wait();

  struct ucred credentials = {0};
  if (!alone) {
    credentials = received(pair[1], 4);
    test_check(credentials.pid == dead && credentials.uid == 1000 && credentials.gid == 2000, "dead: %d %d %d", credentials.pid, credentials.uid, credentials.gid);
    credentials = received(stream[1], 4);
    test_check(credentials.pid == dead && credentials.uid == 1000, "dead: %d %d %d", credentials.pid, credentials.uid, credentials.gid);
  }
  credentials = received(pair[1], 6);
  test_check(credentials.pid == living && credentials.uid == 1001 && credentials.gid == 2001, "living: %d %d %d", credentials.pid, credentials.uid, credentials.gid);
  credentials = received(pair[1], 4);
  test_check(credentials.pid == getpid() && credentials.uid == 0, "self: %d", credentials.pid);
  test_check(same(peer(server), before) && same(peer(pair[0]), before_pair), "peers: %d %d", peer(server).pid, peer(server).uid);
  int waiting = accept(listener, NULL, NULL), status;
  test_check(peer(waiting).pid == living && peer(waiting).uid == 1001, "waiting: %d %d", peer(waiting).pid, peer(waiting).uid);
  kill(living, SIGTERM);
  test_check(waitpid(living, &status, 0) == living && status == 0, "living: %x", status);
  char buffer[10];
  test_check(read(waiting, buffer, 10) == 5 && read(server, buffer, 10) == 1, "data");
  test_pass();
}
