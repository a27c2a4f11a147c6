/* Locks across fork, on nameless files and devices, two owners of ranges in one file, waiters of flock, POSIX and OFD locks. */
/* kmonte-shows: process/posix-locks */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>

static int range(int fd, int command, short type, off_t start, off_t length) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  return fcntl(fd, command, &lock);
}

static pid_t waiter(int which, int fd, const char *name) {
  pid_t pid = fork();
  if (pid) return pid;
  signal(SIGTERM, SIG_DFL);
  int own = name ? open(name, O_RDWR) : fd;
  if (which == 0) _exit(flock(own, LOCK_EX) == 0 ? 0 : 1);
  if (which == 1) _exit(range(fd, F_SETLKW, F_WRLCK, 0, 10) == 0 ? 0 : 2);
  _exit(range(own, F_OFD_SETLKW, F_WRLCK, 0, 10) == 0 ? 0 : 3);
}

int main(void) {
  test_begin();
  int a = open("a", O_RDWR | O_CREAT, 0600), b = open("b", O_RDWR | O_CREAT, 0600), c = open("c", O_RDWR | O_CREAT, 0600);
  int gone = open("gone", O_RDWR | O_CREAT, 0600), null = open("/dev/null", O_RDWR), folder = open(".", O_RDONLY);
  unlink("gone");
  test_check(flock(a, LOCK_EX) == 0 && range(b, F_SETLK, F_WRLCK, 0, 10) == 0 && range(c, F_OFD_SETLK, F_WRLCK, 0, 10) == 0, "locks");
  test_check(flock(gone, LOCK_EX) == 0 && range(gone, F_SETLK, F_RDLCK, 5, 5) == 0, "gone");
  test_check(flock(folder, LOCK_SH) == 0, "folder");
  int nulls = range(null, F_SETLK, F_WRLCK, 3, 3);
  pid_t owner = fork();
  if (owner == 0) {
    test_check(range(b, F_SETLK, F_RDLCK, 100, 50) == 0, "the child's");
    test_ready_and_wait();
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 1};
    if (fcntl(b, F_GETLK, &lock) != 0 || lock.l_type != F_WRLCK || lock.l_pid != getppid()) _exit(1);
    int again = open("a", O_RDWR);
    if (flock(again, LOCK_SH | LOCK_NB) != -1 || flock(a, LOCK_EX | LOCK_NB) != 0) _exit(2);
    lock = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 1};
    if (fcntl(gone, F_GETLK, &lock) != 0 || lock.l_type != F_RDLCK || lock.l_pid != getppid()) _exit(3);
    _exit(0);
  }
  pid_t waiters[] = {waiter(0, -1, "a"), waiter(1, b, NULL), waiter(2, -1, "c")};
  usleep(100000);
  test_wait();
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 120, .l_len = 1};
  test_check(fcntl(b, F_GETLK, &lock) == 0 && lock.l_type == F_RDLCK && lock.l_pid == owner, "the child's: %d %d", lock.l_type, lock.l_pid);
  int status;
  kill(owner, SIGTERM);
  test_check(waitpid(owner, &status, 0) == owner && status == 0, "owner: %x", status);
  for (int i = 0; i < 3; i++) test_check(waitpid(waiters[i], &status, WNOHANG) == 0, "waiter %d has ended: %x", i, status);
  test_check(flock(a, LOCK_UN) == 0 && range(b, F_SETLK, F_UNLCK, 0, 10) == 0 && range(c, F_OFD_SETLK, F_UNLCK, 0, 10) == 0, "unlock");
  for (int i = 0; i < 3; i++) test_check(waitpid(waiters[i], &status, 0) == waiters[i] && status == 0, "waiter %d: %x", i, status);
  (void)nulls;
  test_pass();
}
