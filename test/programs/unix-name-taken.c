/* kmonte-shows: socket/unix/socket */
/* Sockets and FIFOs whose names are gone, where the other kind stands under the name by now. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int listening(const char *name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, name);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  test_check(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 3) == 0, "bind %s", name);
  return fd;
}

static int connected(const char *name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, name);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  test_check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect %s", name);
  return fd;
}

int main(void) {
  test_begin();
  char found[10] = "";
  mkfifo("fifo", 0640);
  int fifo = open("fifo", O_RDWR | O_NONBLOCK);
  test_check(write(fifo, "old", 3) == 3 && unlink("fifo") == 0, "fifo");
  int server = listening("fifo"), gone = listening("socket"), waiting = connected("socket");
  int accepted = accept(gone, NULL, NULL), client = connected("socket");
  test_check(unlink("socket") == 0 && mkfifo("socket", 0600) == 0, "socket");
  int other = open("socket", O_RDWR | O_NONBLOCK);
  test_check(write(other, "new", 3) == 3 && write(accepted, "hello", 5) == 5, "write");
  test_ready_and_wait();
  test_check(read(fifo, found, 9) == 3 && memcmp(found, "old", 3) == 0, "the old FIFO");
  test_check(read(other, found, 9) == 3 && memcmp(found, "new", 3) == 0, "the new FIFO");
  struct stat about, same;
  test_check(lstat("socket", &about) == 0 && S_ISFIFO(about.st_mode) && fstat(other, &same) == 0 && about.st_ino == same.st_ino, "the name of the FIFO");
  test_check(connected("fifo") >= 0 && accept(server, NULL, NULL) >= 0, "the name of the socket");
  struct sockaddr_un name = {0};
  socklen_t length = sizeof name;
  test_check(getpeername(client, (struct sockaddr *)&name, &length) == 0 && strcmp(name.sun_path, "socket") == 0, "peer %s", name.sun_path);
  test_check(read(waiting, found, 9) == 5, "data");
  test_check(accept(gone, NULL, NULL) >= 0, "the connection that waits");
  test_pass();
}
