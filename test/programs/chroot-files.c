/* kmonte-shows: socket/unix/socket */
/* A process with another root: files of every kind inside and outside of it, sockets whose names begin there. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int make(const char *path, const char *text) {
  int file = open(path, O_RDWR | O_CREAT, 0600);
  test_check(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text), "%s", path);
  return file;
}

static void expect(int file, const char *text) {
  char found[20] = "";
  test_check(pread(file, found, 19, 0) >= 0 && strcmp(found, text) == 0, "%s is %s", text, found);
}

static int unix_socket(int type, const char *path, int (*use)(int, const struct sockaddr *, socklen_t)) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
  test_check(fd >= 0 && use(fd, (struct sockaddr *)&address, sizeof address) == 0, "%s", path);
  return fd;
}

int main(void) {
  test_begin();
  mkdir("top", 0755), mkdir("top/in", 0755);
  int outside = make("outside", "outside"), ghost = make("ghost", "ghost"), folder = open(".", O_RDONLY | O_DIRECTORY);
  unlink("ghost");
  test_check(chroot("top") == 0, "chroot");
  int inside = make("/in/file", "inside"), gone = make("/in/gone", "gone");
  unlink("/in/gone");
  test_check(mkfifo("/in/fifo", 0600) == 0, "mkfifo");
  int fifo = open("/in/fifo", O_RDWR | O_NONBLOCK);
  test_check(write(fifo, "pipe", 4) == 4, "fifo");
  int server = unix_socket(SOCK_STREAM, "/in/server", bind);
  test_check(listen(server, 3) == 0, "listen");
  int client = unix_socket(SOCK_STREAM, "/in/server", connect), accepted = accept(server, NULL, NULL);
  int box = unix_socket(SOCK_DGRAM, "/in/box", bind), sender = unix_socket(SOCK_DGRAM, "/in/box", connect);
  test_check(accepted >= 0 && send(sender, "letter", 6, 0) == 6, "sockets");
  test_ready_and_wait();
  expect(outside, "outside"), expect(ghost, "ghost"), expect(inside, "inside"), expect(gone, "gone");
  char found[20] = "";
  test_check(read(fifo, found, 19) == 4 && strcmp(found, "pipe") == 0, "fifo");
  test_check(access("/in/file", F_OK) == 0 && access("/top", F_OK) < 0 && access("outside", F_OK) == 0, "root and folder");
  test_check(faccessat(folder, "top/in/server", F_OK, 0) == 0, "the folder outside");
  test_check(recv(box, found, 19, 0) == 6 && memcmp(found, "letter", 6) == 0, "letter");
  test_check(send(sender, "x", 1, 0) == 1 && send(client, "y", 1, 0) == 1 && recv(accepted, found, 9, 0) == 1, "the connections");
  struct sockaddr_un name = {0};
  socklen_t length = sizeof name;
  test_check(getpeername(client, (struct sockaddr *)&name, &length) == 0 && strcmp(name.sun_path, "/in/server") == 0, "name %s", name.sun_path);
  unix_socket(SOCK_STREAM, "/in/server", connect);
  test_check(accept(server, NULL, NULL) >= 0, "a new connection");
  test_pass();
}
