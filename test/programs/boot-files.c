/* kmonte-shows: volatile/carried-files volatile/volatile-file */
/* kmonte-between: rm -rf /dev/shm/kmonte-boot-* */
/* What lies in memory is gone after a boot: files that are open, mapped or locked, links, FIFOs, sockets, folders. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>

#define LARGE (4 << 20)

static char top[64];

static const char *at(const char *name) {
  static char paths[16][120];
  static int next;
  char *path = paths[next++ % 16];
  snprintf(path, sizeof paths[0], "%s/%s", top, name);
  return path;
}

static int make(const char *name, const char *text) {
  int fd = open(at(name), O_RDWR | O_CREAT | O_EXCL, 0640);
  test_check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s", name);
  return fd;
}

static void expect_mode(const char *name, mode_t mode, uid_t uid, gid_t gid) {
  struct stat seen;
  test_check(lstat(at(name), &seen) == 0, "%s", name);
  test_check(seen.st_mode == mode && seen.st_uid == uid && seen.st_gid == gid, "%s is %o, %u:%u", name, seen.st_mode, seen.st_uid,
             seen.st_gid);
}

int main(void) {
  test_begin();
  umask(0);
  snprintf(top, sizeof top, "/dev/shm/kmonte-boot-%d", getpid());
  test_check(mkdir(top, 0751) == 0 && mkdir(at("folder"), 0700) == 0 && mkdir(at("folder/deep"), 02750) == 0, "mkdir");
  test_check(chown(at("folder/deep"), 1, 2) == 0 && chmod(at("folder/deep"), 02750) == 0, "chown");
  int locked = make("x.pid", "1\n"), twice = make("first", "two names");
  test_check(flock(locked, LOCK_EX) == 0 && link(at("first"), at("second")) == 0, "flock, link");
  int other = open(at("second"), O_RDONLY);
  int map = open(at("folder/deep/map"), O_RDWR | O_CREAT, 0600), status;
  test_check(map >= 0 && ftruncate(map, LARGE) == 0, "ftruncate");
  char *shared = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
  test_check(shared != MAP_FAILED && setxattr(at("folder/deep/map"), "trusted.kmonte", "x", 1, 0) == 0, "mmap");
  strcpy(shared + LARGE - 10, "the end");
  struct timespec times[2] = {{1000000000, 5}, {1100000000, 7}};
  close(map);
  test_check(chmod(at("folder/deep/map"), 0604) == 0 && utimensat(AT_FDCWD, at("folder/deep/map"), times, 0) == 0, "utimensat");
  /* A folder that is open comes with what is in it. */
  test_check(mkdir(at("opened"), 0711) == 0, "mkdir");
  close(make("opened/beside", "not open"));
  test_check(symlink("beside", at("opened/link")) == 0 && mkfifo(at("opened/fifo"), 0620) == 0, "symlink, mkfifo");
  int folder = open(at("opened"), O_RDONLY | O_DIRECTORY);
  test_check(mkdir(at("home"), 0755) == 0 && chdir(at("home")) == 0, "chdir");
  test_check(mkdir(at("sockets"), 0770) == 0, "mkdir");
  struct sockaddr_un name = {AF_UNIX, ""};
  snprintf(name.sun_path, sizeof name.sun_path, "%s/sockets/s", top);
  int server = socket(AF_UNIX, SOCK_STREAM, 0);
  test_check(bind(server, (void *)&name, sizeof name) == 0 && listen(server, 1) == 0, "bind");
  test_check(mkfifo(at("folder/fifo"), 0600) == 0, "mkfifo");
  int watch = inotify_init1(IN_NONBLOCK);
  test_check(mkdir(at("watched"), 0700) == 0 && inotify_add_watch(watch, at("watched"), IN_CREATE) == 1, "inotify");
  int fifo = open(at("folder/fifo"), O_RDWR);
  test_check(write(fifo, "kept", 4) == 4, "fifo");
  test_ready_and_wait();
  char text[40] = "", cwd[120];
  struct stat seen, same;
  test_check(pread(locked, text, 39, 0) == 2 && strcmp(text, "1\n") == 0, "x.pid");
  int again = open(at("x.pid"), O_RDWR);
  test_check(again >= 0 && flock(again, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK, "the lock");
  test_check(fstat(twice, &seen) == 0 && stat(at("first"), &same) == 0 && seen.st_ino == same.st_ino, "first");
  test_check(fstat(other, &same) == 0 && seen.st_ino == same.st_ino && seen.st_nlink == 2, "second");
  test_check(stat(at("folder/deep/map"), &seen) == 0 && seen.st_mtim.tv_sec == 1100000000 && seen.st_mtim.tv_nsec == 7, "mtime");
  test_check(seen.st_atim.tv_sec == 1000000000 && seen.st_size == LARGE && seen.st_blocks < 100, "atime, holes");
  test_check(getxattr(at("folder/deep/map"), "trusted.kmonte", text, 9) == 1, "getxattr");
  test_check(strcmp(shared + LARGE - 10, "the end") == 0, "the mapping");
  strcpy(shared, "anew");
  map = open(at("folder/deep/map"), O_RDONLY);
  test_check(pread(map, text, 5, 0) == 5 && strcmp(text, "anew") == 0, "the file behind the mapping");
  expect_mode("", S_IFDIR | 0751, 0, 0);
  expect_mode("folder/deep", S_IFDIR | 02750, 1, 2);
  expect_mode("folder/deep/map", S_IFREG | 0604, 0, 2); /* of the folder, which is set-group-id */
  expect_mode("opened", S_IFDIR | 0711, 0, 0);
  expect_mode("opened/beside", S_IFREG | 0640, 0, 0);
  expect_mode("opened/link", S_IFLNK | 0777, 0, 0);
  expect_mode("opened/fifo", S_IFIFO | 0620, 0, 0);
  expect_mode("sockets", S_IFDIR | 0770, 0, 0);
  test_check(fstatat(folder, "beside", &seen, 0) == 0, "the open folder");
  test_check(getcwd(cwd, sizeof cwd) && strcmp(cwd, at("home")) == 0, "cwd %s", cwd);
  char event[300];
  close(make("watched/new", ""));
  test_check(read(watch, event, sizeof event) > 0, "the watch");
  int client = socket(AF_UNIX, SOCK_STREAM, 0);
  test_check(connect(client, (void *)&name, sizeof name) == 0, "connect");
  test_check(read(fifo, text, 4) == 4 && memcmp(text, "kept", 4) == 0, "fifo");
  test_check(chdir("/") == 0 && snprintf(text, sizeof text, "rm -rf %s", top) > 0 && (status = system(text)) == 0, "rm");
  test_pass();
}
