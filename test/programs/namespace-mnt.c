/* kmonte-unshare: uts,ipc,pid,net,mnt */
/* kmonte-shows: mount/namespace */
/* Mounts of its own: proc, a tmpfs with files open and mapped, a bind mount, one that is read-only. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>

#define TOP "/media"

static void write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT, 0640);
  test_check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0, "%s", path);
}

static void expect_file(const char *path, const char *text) {
  char line[100] = "";
  int fd = open(path, O_RDONLY);
  test_check(fd >= 0 && read(fd, line, sizeof line - 1) >= 0 && close(fd) == 0, "%s", path);
  test_check(strcmp(line, text) == 0, "%s holds %s", path, line);
}

static void table(char *into, size_t size) {
  FILE *file = fopen("/proc/self/mountinfo", "r");
  test_check(file != NULL, "mountinfo");
  char line[1000], point[300], options[100];
  size_t length = 0;
  while (fgets(line, sizeof line, file)) {
    test_check(sscanf(line, "%*d %*d %*s %*s %299s %99s", point, options) == 2, "%s", line);
    if (strncmp(point, TOP, strlen(TOP)) == 0) length += (size_t)snprintf(into + length, size - length, "%s %s\n", point, options);
  }
  fclose(file);
}

int main(void) {
  test_begin();
  static char before[10000], after[10000];
  test_check(mount("mine", TOP, "tmpfs", MS_NOSUID, "size=2m,mode=711") == 0, "tmpfs");
  test_check(mkdir(TOP "/dir", 0700) == 0 && mkdir(TOP "/bound", 0755) == 0 && mkdir(TOP "/etc", 0755) == 0, "mkdir");
  write_file(TOP "/dir/file", "hello");
  write_file(TOP "/mapped", "mapped text");
  test_check(symlink("dir/file", TOP "/link") == 0, "symlink");
  test_check(mount(TOP "/dir", TOP "/bound", NULL, MS_BIND, NULL) == 0, "bind");
  test_check(mount("/etc", TOP "/etc", NULL, MS_BIND, NULL) == 0, "bind of the machine's");
  test_check(mount(NULL, TOP "/etc", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOEXEC, NULL) == 0, "read-only");
  int fd = open(TOP "/dir/file", O_RDWR);
  test_check(fd >= 0 && lseek(fd, 2, SEEK_SET) == 2, "open");
  int gone = open(TOP "/gone", O_RDWR | O_CREAT, 0600);
  test_check(gone >= 0 && write(gone, "unlinked", 8) == 8 && unlink(TOP "/gone") == 0, "unlinked");
  int map = open(TOP "/mapped", O_RDWR);
  char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
  test_check(shared != MAP_FAILED, "mmap");
  test_check(chdir(TOP "/dir") == 0, "chdir");
  struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = TOP "/socket"};
  int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
  test_check(bind(listener, (struct sockaddr *)&name, sizeof name) == 0 && listen(listener, 5) == 0, "listening");
  table(before, sizeof before);
  test_ready_and_wait();
  table(after, sizeof after);
  test_check(strcmp(before, after) == 0, "mounts were\n%sand are\n%s", before, after);
  char text[9] = "";
  test_check(read(fd, text, 3) == 3 && strcmp(text, "llo") == 0, "read %s", text);
  test_check(pread(gone, text, 8, 0) == 8 && strcmp(text, "unlinked") == 0, "read %s", text);
  expect_file("file", "hello");
  expect_file(TOP "/bound/file", "hello");
  expect_file(TOP "/link", "hello");
  memcpy(shared, "MAPPED", 6);
  expect_file(TOP "/mapped", "MAPPED text");
  test_check(open(TOP "/etc/kmonte-test", O_CREAT | O_WRONLY, 0600) < 0 && errno == EROFS, "read-only is gone");
  struct stat stat_of;
  test_check(stat(TOP, &stat_of) == 0 && (stat_of.st_mode & 07777) == 0711, "mode is %o", stat_of.st_mode);
  test_check(stat("file", &stat_of) == 0 && (stat_of.st_mode & 07777) == 0640, "mode is %o", stat_of.st_mode);
  test_check(connect(client, (struct sockaddr *)&name, sizeof name) == 0 && accept(listener, NULL, NULL) >= 0, "connect");
  test_check(readlink("/proc/self", text, 8) == 1 && text[0] == '1', "/proc/self is %s", text);
  test_pass();
}
