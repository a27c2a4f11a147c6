/* kmonte-shows: socket/unix/socket */
/*
 * Sockets bound by names that only the process itself understands, as conmon does it: by way of a descriptor that may be
 * closed or something else by now, of the working directory, with a client, a queue, and a file that is gone.
 */
#include "kmonte-test.h"
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static char folder[256], names[4][108];

static struct sockaddr_un address(const char *name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, name);
  return address;
}

static socklen_t length(struct sockaddr_un *address) {
  return offsetof(struct sockaddr_un, sun_path) + strlen(address->sun_path) + 1;
}

static void is_called(int fd, const char *name, int peer) {
  struct sockaddr_un got = {0};
  socklen_t size = sizeof got;
  int answer = peer ? getpeername(fd, (struct sockaddr *)&got, &size) : getsockname(fd, (struct sockaddr *)&got, &size);
  test_check(answer == 0 && strcmp(got.sun_path, name) == 0, "it is called %s instead of %s", got.sun_path, name);
}

static int bound(int type, const char *name) {
  int fd = socket(AF_UNIX, type, 0);
  struct sockaddr_un to = address(name);
  test_check(bind(fd, (struct sockaddr *)&to, length(&to)) == 0, "bind to %s", name);
  return fd;
}

static int client(const char *name) {
  char path[400];
  int directory = open(folder, O_PATH | O_DIRECTORY), fd = socket(AF_UNIX, SOCK_STREAM, 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d/%s", directory, name);
  struct sockaddr_un to = address(path);
  test_check(connect(fd, (struct sockaddr *)&to, length(&to)) == 0, "connect to %s", name);
  close(directory);
  return fd;
}

int main(void) {
  test_begin();
  char here[128];
  test_check(getcwd(here, sizeof here) != NULL, "a place");
  snprintf(folder, sizeof folder, "%s/folder-%0100d", here, getpid());
  test_check(mkdir(folder, 0700) == 0 && chdir(folder) == 0, "a folder");
  int directory = open(".", O_PATH | O_DIRECTORY);
  snprintf(names[0], sizeof names[0], "/proc/self/fd/%d/attach", directory);
  snprintf(names[1], sizeof names[1], "/dev/fd/%d/gone", directory);
  snprintf(names[2], sizeof names[2], "/proc/%d/cwd/messages", getpid());
  snprintf(names[3], sizeof names[3], "/proc/thread-self/fd/%d/sender", directory);
  int listener = bound(SOCK_STREAM, names[0]), gone = bound(SOCK_STREAM, names[1]);
  int receiver = bound(SOCK_DGRAM, names[2]), sender = bound(SOCK_DGRAM, names[3]);
  test_check(listen(listener, 4) == 0 && listen(gone, 4) == 0 && unlink("gone") == 0, "listen");
  int talker = client("attach"), server = accept(listener, NULL, NULL);
  struct sockaddr_un to = address("messages");
  test_check(connect(sender, (struct sockaddr *)&to, length(&to)) == 0 && send(sender, "one", 3, 0) == 3, "send");
  /* Something else has the number by now, and the program stands elsewhere. */
  int null = open("/dev/null", O_RDONLY);
  test_check(dup2(null, directory) == directory && chdir("/") == 0, "elsewhere");
  test_ready_and_wait();

  char text[8] = "", path[400];
  struct sockaddr_un from = {0};
  socklen_t size = sizeof from;
  is_called(listener, names[0], 0);
  is_called(gone, names[1], 0);
  is_called(receiver, names[2], 0);
  is_called(sender, names[3], 0);
  is_called(server, names[0], 0);
  is_called(talker, names[0], 1);
  test_check(recvfrom(receiver, text, sizeof text, MSG_DONTWAIT, (struct sockaddr *)&from, &size) == 3, "the datagram");
  test_check(strcmp(text, "one") == 0 && strcmp(from.sun_path, names[3]) == 0, "%s from %s", text, from.sun_path);
  test_check(send(sender, "two", 3, 0) == 3 && recv(receiver, text, 3, MSG_DONTWAIT) == 3, "another datagram");
  test_check(write(talker, "a", 1) == 1 && read(server, text, 1) == 1, "the connection");
  int other = client("attach");
  test_check(accept(listener, NULL, NULL) >= 0 && close(other) == 0, "another connection");
  snprintf(path, sizeof path, "%s/gone", folder);
  test_check(access(path, F_OK) < 0 && errno == ENOENT, "a file that was gone");
  snprintf(path, sizeof path, "/dev/fd/%d", directory);
  test_check(read(directory, text, 1) == 0, "the descriptor");
  test_pass();
}
