/* Files and folders of /proc that belong to processes that have ended, to threads, to oneself; at a position. */
/* kmonte-shows: file/proc-file */
#include "kmonte-test.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static volatile int tid;
static void *sleeper(void *arg) {
  tid = syscall(SYS_gettid);
  for (;;) pause();
  return arg;
}

static int at(const char *format, int number, int flags) {
  char path[64];
  snprintf(path, sizeof path, format, number);
  int fd = open(path, flags);
  test_check(fd >= 0, "open %s", path);
  return fd;
}

int main(void) {
  test_begin();
  pid_t child = fork();
  if (child == 0) for (;;) pause();
  int dead = at("/proc/%d/status", child, O_RDONLY), folder = at("/proc/%d", child, O_RDONLY | O_DIRECTORY), net = at("/proc/%d/fd", child, O_RDONLY);
  kill(child, SIGKILL), waitpid(child, NULL, 0);
  pthread_t thread;
  pthread_create(&thread, NULL, sleeper, NULL);
  while (!tid) usleep(1000);
  int comm = at("/proc/self/task/%d/comm", tid, O_RDWR), mem = at("/proc/self/mem", 0, O_RDWR), maps = at("/proc/self/maps", 0, O_RDONLY);
  int fds = at("/proc/self/fd", 0, O_RDONLY), pseudo = at("/proc/sys/kernel/ostype", 0, O_RDONLY), sys = at("/sys/kernel", 0, O_RDONLY), cpu = at("/proc/cpuinfo", 0, O_RDONLY);
  char first[100], buffer[200];
  static char secret[] = "secret";
  test_check(read(cpu, first, 9) == 9 && read(maps, first, 20) == 20 && read(pseudo, first, 2) == 2, "read");
  test_ready_and_wait();
  test_check(read(dead, buffer, 10) == -1 && errno == ESRCH, "a dead one");
  test_check(openat(folder, "stat", O_RDONLY) == -1 && (errno == ESRCH || errno == ENOENT), "its folder");
  test_check(syscall(SYS_getdents64, net, buffer, sizeof buffer) <= 0, "its descriptors");
  snprintf(buffer, 64, "/proc/self/fd/%d", folder);
  char target[64];
  int length = readlink(buffer, target, 63);
  test_check(length > 0, "readlink");
  target[length] = 0;
  snprintf(buffer, 64, "/proc/%d", child);
  test_check(strncmp(target, buffer, strlen(buffer)) == 0, "%s is not %s", target, buffer);
  test_check(write(comm, "renamed", 7) == 7, "comm");
  int again = at("/proc/self/task/%d/comm", tid, O_RDONLY);
  test_check(read(again, buffer, 20) == 8 && memcmp(buffer, "renamed\n", 8) == 0, "the thread's");
  test_check(pread(mem, buffer, 6, (off_t)secret) == 6 && memcmp(buffer, "secret", 6) == 0, "mem");
  test_check(lseek(cpu, 0, SEEK_CUR) == 9 && read(pseudo, buffer, 3) == 3 && memcmp(buffer, "nux", 3) == 0, "positions");
  test_check(read(maps, buffer, 1) == 1 && lseek(maps, 0, SEEK_CUR) == 21, "maps");
  snprintf(buffer, 64, "%d", fds);
  struct stat stat;
  test_check(fstatat(fds, buffer, &stat, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(stat.st_mode) && faccessat(sys, "mm", F_OK, 0) == 0, "folders");
  test_pass();
}
