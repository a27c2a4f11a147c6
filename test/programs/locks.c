/* Locks of every sort: flock, POSIX ranges, open file description locks, leases; one waiter waits on. */
/* kmonte-shows: process/posix-locks */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>

static int make(const char *name, int flags) {
  close(open(name, O_CREAT | O_WRONLY, 0600));
  int fd = open(name, flags);
  test_check(fd >= 0, "open %s", name);
  return fd;
}

static int locked(int fd, int command, short type, off_t start, off_t length) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  return fcntl(fd, command, &lock);
}

int main(void) {
  test_begin();
  int shared = make("shared", O_RDWR), exclusive = make("exclusive", O_RDWR), posix = make("posix", O_RDWR);
  int ofd = make("ofd", O_RDWR), reading = make("reading", O_RDONLY), writing = make("writing", O_RDWR);
  test_check(flock(shared, LOCK_SH) == 0 && flock(exclusive, LOCK_EX) == 0, "flock");
  test_check(locked(posix, F_SETLK, F_WRLCK, 10, 5) == 0 && locked(posix, F_SETLK, F_RDLCK, 100, 0) == 0, "posix");
  test_check(locked(ofd, F_OFD_SETLK, F_WRLCK, 0x100000000, 16) == 0 && locked(ofd, F_OFD_SETLK, F_RDLCK, 3, 1) == 0, "ofd");
  test_check(fcntl(reading, F_SETLEASE, F_RDLCK) == 0 && fcntl(writing, F_SETLEASE, F_WRLCK) == 0, "lease");
  pid_t waiter = fork();
  if (waiter == 0) {
    signal(SIGTERM, SIG_DFL);
    int mine = open("posix", O_RDWR);
    _exit(locked(mine, F_SETLKW, F_WRLCK, 12, 1) == 0 ? 3 : 4);
  }
  usleep(50000);
  test_ready_and_wait();

  int other = open("shared", O_RDWR);
  test_check(flock(other, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK && flock(other, LOCK_SH | LOCK_NB) == 0, "shared");
  other = open("exclusive", O_RDWR);
  test_check(flock(other, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK, "exclusive");
  other = open("ofd", O_RDWR);
  test_check(locked(other, F_OFD_SETLK, F_RDLCK, 0x10000000f, 1) == -1 && errno == EAGAIN, "ofd");
  test_check(locked(other, F_OFD_SETLK, F_RDLCK, 0x100000010, 1) == 0 && locked(other, F_OFD_SETLK, F_RDLCK, 3, 1) == 0, "ofd range");
  test_check(locked(other, F_OFD_SETLK, F_WRLCK, 3, 1) == -1 && errno == EAGAIN, "ofd shared");
  test_check(fcntl(reading, F_GETLEASE) == F_RDLCK && fcntl(writing, F_GETLEASE) == F_WRLCK, "leases");
  if (fork() == 0) {
    signal(SIGTERM, SIG_DFL);
    int mine = open("posix", O_RDWR);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 11, .l_len = 1};
    int result = fcntl(mine, F_GETLK, &lock);
    if (result != 0 || lock.l_type != F_WRLCK || lock.l_start != 10 || lock.l_len != 5 || lock.l_pid != getppid()) _exit(1);
    if (locked(mine, F_SETLK, F_RDLCK, 5000, 1) != 0) _exit(2);
    if (locked(mine, F_SETLK, F_WRLCK, 5000, 1) != -1) _exit(3);
    _exit(0);
  }
  int status;
  pid_t probe = wait(&status);
  test_check(probe != waiter && WEXITSTATUS(status) == 0, "posix: %x", status);
  test_check(locked(posix, F_SETLK, F_UNLCK, 10, 5) == 0, "unlock");
  test_check(waitpid(waiter, &status, 0) == waiter && WEXITSTATUS(status) == 3, "the waiter: %x", status);
  test_pass();
}
