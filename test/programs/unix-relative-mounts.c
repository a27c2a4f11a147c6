/* kmonte-unshare: uts,ipc,pid,net,mnt */
/* kmonte-shows: socket/unix/socket */
/* Sockets bound by relative names in a mount namespace of its own: one with a client, one whose directory has gone. */
#include "kmonte-test.h"
#include <stddef.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define TOP "/media"

static struct sockaddr_un address(const char *name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, name);
  return address;
}

static socklen_t length(struct sockaddr_un *address) {
  return offsetof(struct sockaddr_un, sun_path) + strlen(address->sun_path) + 1;
}

static int listening(const char *name) {
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un to = address(name);
  test_check(bind(fd, (struct sockaddr *)&to, length(&to)) == 0 && listen(fd, 5) == 0, "bind to %s", name);
  return fd;
}

static int client(const char *name) {
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un to = address(name);
  test_check(connect(fd, (struct sockaddr *)&to, length(&to)) == 0, "connect to %s", name);
  return fd;
}

static void is_called(int fd, const char *name, int peer) {
  struct sockaddr_un got = {0};
  socklen_t size = sizeof got;
  int answer = peer ? getpeername(fd, (struct sockaddr *)&got, &size) : getsockname(fd, (struct sockaddr *)&got, &size);
  test_check(answer == 0 && strcmp(got.sun_path, name) == 0, "it is called %s instead of %s", got.sun_path, name);
}

static void hears(int from, int to, char letter) {
  char got = 0;
  test_check(write(from, &letter, 1) == 1 && read(to, &got, 1) == 1 && got == letter, "a byte");
}

int main(void) {
  test_begin();
  test_check(mount("mine", TOP, "tmpfs", MS_NOSUID, "size=2m,mode=755") == 0, "tmpfs");
  test_check(mkdir(TOP "/stays", 0755) == 0 && mkdir(TOP "/goes", 0755) == 0, "folders");
  test_check(chdir(TOP "/goes") == 0, "chdir");
  int gone = listening("socket"), to_gone = client("socket"), of_gone = accept(gone, NULL, NULL);
  test_check(unlink("socket") == 0 && rmdir(TOP "/goes") == 0 && chdir(TOP "/stays") == 0, "gone");
  int here = listening("socket"), to_here = client("socket"), of_here = accept(here, NULL, NULL);
  test_check(write(to_here, "k", 1) == 1, "a byte that nobody has read");
  test_ready_and_wait();
  char got = 0;
  test_check(read(of_here, &got, 1) == 1 && got == 'k', "the byte that nobody has read");
  is_called(here, "socket", 0);
  is_called(to_here, "socket", 1);
  is_called(gone, "socket", 0);
  is_called(to_gone, "socket", 1);
  hears(to_here, of_here, 'a');
  hears(of_here, to_here, 'b');
  hears(to_gone, of_gone, 'c');
  struct stat named;
  test_check(stat(TOP "/stays/socket", &named) == 0 && S_ISSOCK(named.st_mode), "the file of the socket");
  int another = client(TOP "/stays/socket"), accepted = accept(here, NULL, NULL);
  hears(another, accepted, 'd');
  test_pass();
}
