/* kmonte-needs: root */
/* Devices, FIFOs, sockets and symbolic links whose names are gone, held by descriptors, some by O_PATH only. */
/* kmonte-shows: file/directory file/device */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

int main(void) {
  test_begin();
  umask(0);
  test_check(mknod("null", S_IFCHR | 0640, makedev(1, 3)) == 0 && mkfifo("fifo", 0620) == 0, "mknod");
  test_check(symlink("to/somewhere", "link") == 0, "symlink");
  struct sockaddr_un name = {AF_UNIX, "sock"};
  int sock = socket(AF_UNIX, SOCK_STREAM, 0);
  test_check(bind(sock, (void *)&name, sizeof name) == 0, "bind");
  int null = open("null", O_RDWR), null_path = open("null", O_PATH), fifo = open("fifo", O_PATH);
  int link = open("link", O_PATH | O_NOFOLLOW), sock_path = open("sock", O_PATH);
  int regular = open("regular", O_RDWR | O_CREAT, 0600), regular_path = open("regular", O_PATH);
  write(regular, "x", 1);
  close(regular);
  test_check(null >= 0 && null_path >= 0 && fifo >= 0 && link >= 0 && sock_path >= 0 && regular_path >= 0, "open");
  unlink("null"), unlink("fifo"), unlink("link"), unlink("sock"), unlink("regular");
  test_ready_and_wait();
  struct stat stat;
  char buffer[30];
  test_check(write(null, "x", 1) == 1, "null");
  test_check(fstat(null, &stat) == 0 && stat.st_nlink == 0 && (stat.st_mode & 0777) == 0640, "mode %o", stat.st_mode);
  test_check(fstat(null_path, &stat) == 0 && S_ISCHR(stat.st_mode) && stat.st_rdev == makedev(1, 3), "null by path");
  test_check(fstat(fifo, &stat) == 0 && S_ISFIFO(stat.st_mode) && (stat.st_mode & 0777) == 0620, "fifo");
  test_check(readlinkat(link, "", buffer, sizeof buffer) == 12 && memcmp(buffer, "to/somewhere", 12) == 0, "link");
  test_check(fstat(sock_path, &stat) == 0 && S_ISSOCK(stat.st_mode), "socket");
  test_check(fstat(regular_path, &stat) == 0 && stat.st_size == 1 && stat.st_nlink == 0, "regular");
  test_check((fcntl(null_path, F_GETFL) & O_PATH) && (fcntl(regular_path, F_GETFL) & O_PATH), "O_PATH");
  test_check(access("null", F_OK) && access("fifo", F_OK) && access("sock", F_OK) && access("regular", F_OK), "names");
  test_pass();
}
