/* Regular files: position, modes, append, holes, sharing by dup and fork as against opening twice, owners of signals. */
/* kmonte-shows: file/regular */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define BIG 0x123456789abLL

int main(void) {
  test_begin();
  int fd = open("file", O_RDWR | O_CREAT, 0640);
  test_check(write(fd, "0123456789", 10) == 10 && lseek(fd, 3, SEEK_SET) == 3, "file");
  int copy = dup(fd), again = open("file", O_RDONLY), append = open("file", O_WRONLY | O_APPEND | O_NOATIME | O_SYNC);
  int far = open("far", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  test_check(lseek(far, BIG, SEEK_SET) == BIG, "far");
  int forbidden = open("forbidden", O_RDWR | O_CREAT, 0);
  test_check(write(forbidden, "secret", 6) == 6, "forbidden");
  int direct = open("direct", O_RDWR | O_CREAT | O_DIRECT, 0600);
  int path = open("file", O_PATH);
  symlink("nowhere", "link");
  int link = open("link", O_PATH | O_NOFOLLOW), folder = open(".", O_PATH | O_DIRECTORY);
  test_check(link >= 0 && folder >= 0 && path >= 0, "O_PATH");
  struct rlimit limit = {65536, 65536};
  int high = 1000;
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) high = 65535;
  test_check(dup2(again, high) == high, "high");
  test_check(fcntl(again, F_SETFD, FD_CLOEXEC) == 0, "close-on-exec");
  int owned[2];
  test_check(pipe(owned) == 0, "pipe");
  struct f_owner_ex owner = {F_OWNER_PID, getpid()}, now;
  test_check(fcntl(owned[0], F_SETOWN_EX, &owner) == 0 && fcntl(owned[0], F_SETSIG, SIGUSR1) == 0, "owner");
  test_check(fcntl(owned[0], F_SETFL, O_ASYNC | O_NONBLOCK) == 0, "O_ASYNC");
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR1);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  pid_t child = fork();
  if (child == 0) {
    test_ready_and_wait();
    _exit(lseek(fd, 1, SEEK_CUR) == 4 ? 0 : 1);
  }
  int all[] = {fd, copy, again, append, far, forbidden, direct, path, link, folder, high, owned[0], owned[1]};
  enum { COUNT = sizeof all / sizeof *all };
  int flags[COUNT], cloexec[COUNT];
  struct stat before[COUNT], after;
  for (int i = 0; i < COUNT; i++) {
    flags[i] = fcntl(all[i], F_GETFL), cloexec[i] = fcntl(all[i], F_GETFD);
    fstat(all[i], &before[i]);
  }
  test_wait();
  for (int i = 0; i < COUNT; i++) {
    test_check(fcntl(all[i], F_GETFL) == flags[i], "flags of %d: %o were %o", i, fcntl(all[i], F_GETFL), flags[i]);
    test_check(fcntl(all[i], F_GETFD) == cloexec[i], "close-on-exec of %d", i);
    fstat(all[i], &after);
    test_check(i >= 11 || (after.st_ino == before[i].st_ino && after.st_dev == before[i].st_dev), "inode of %d", i);
  }
  kill(child, SIGTERM);
  int status;
  test_check(waitpid(child, &status, 0) == child && status == 0, "the child: %x", status);
  char buffer[20];
  test_check(read(copy, buffer, 2) == 2 && memcmp(buffer, "45", 2) == 0, "shared position");
  test_check(lseek(fd, 0, SEEK_CUR) == 6 && lseek(high, 0, SEEK_CUR) == 0, "positions");
  test_check(lseek(append, 0, SEEK_SET) == 0 && write(append, "X", 1) == 1 && lseek(append, 0, SEEK_CUR) == 11, "append");
  test_check(lseek(far, 0, SEEK_CUR) == BIG && write(far, "x", 1) == 1, "far");
  test_check(pread(forbidden, buffer, 6, 0) == 6, "forbidden");
  test_check(read(path, buffer, 1) == -1 && errno == EBADF, "O_PATH");
  test_check(readlinkat(link, "", buffer, sizeof buffer) == 7, "O_PATH of a link");
  test_check(fcntl(owned[0], F_GETOWN_EX, &now) == 0 && now.type == F_OWNER_PID && now.pid == getpid(), "owner");
  siginfo_t info;
  struct timespec none = {0, 0};
  test_check(sigtimedwait(&mask, &info, &none) == -1, "a signal from nowhere");
  test_check(write(owned[1], "x", 1) == 1, "write");
  test_check(sigtimedwait(&mask, &info, &none) == SIGUSR1 && info.si_fd == owned[0], "O_ASYNC");
  test_pass();
}
