/* Files of /proc and /sys that are held open: of the machine, of the process itself, of a child. */
/* kmonte-shows: file/proc-file namespace/file */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/wait.h>

static void has(int fd, const char *text) {
  static char buffer[65536];
  ssize_t got = pread(fd, buffer, sizeof buffer - 1, 0);
  test_check(got > 0, "read");
  buffer[got] = 0;
  test_check(strstr(buffer, text) != NULL, "no %s in %s", text, buffer);
}

int main(void) {
  test_begin();
  pid_t child = fork();
  if (child == 0) for (;;) pause();
  signal(SIGTERM, test_on_term);
  char path[64], text[32];
  int memory = open("/proc/meminfo", O_RDONLY), self = open("/proc/self/status", O_RDONLY), maps = open("/proc/self/maps", O_RDONLY);
  int folder = open("/proc/self", O_RDONLY | O_DIRECTORY), fds = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
  snprintf(path, sizeof path, "/proc/%d/stat", child);
  int of_child = open(path, O_RDONLY), task = open("/proc/thread-self/comm", O_RDWR), sys = open("/proc/sys/kernel/hostname", O_RDONLY);
  int mem = open("/proc/self/mem", O_RDWR), size = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY);
  int space = open("/proc/self/ns/uts", O_RDONLY);
  test_check(memory >= 0 && self >= 0 && maps >= 0 && folder >= 0 && fds >= 0 && of_child >= 0 && task >= 0 && sys >= 0 && mem >= 0, "open");
  test_check(space >= 0, "namespace");
  char line[10];
  test_check(read(memory, line, 4) == 4 && memcmp(line, "MemT", 4) == 0, "read");
  test_ready_and_wait();
  test_check(read(memory, line, 4) == 4 && memcmp(line, "otal", 4) == 0, "position");
  snprintf(text, sizeof text, "Pid:\t%d", getpid());
  has(self, text), has(maps, "[stack]");
  snprintf(text, sizeof text, "%d (", child);
  has(of_child, text);
  int inside = openat(folder, "comm", O_RDONLY);
  has(inside, "proc-files"), has(task, "proc-files");
  test_check(faccessat(fds, "0", F_OK, AT_SYMLINK_NOFOLLOW) == 0, "fd");
  test_check(pread(sys, line, 1, 0) == 1, "sysctl");
  volatile char byte = 'b';
  test_check(pread(mem, line, 1, (off_t)&byte) == 1 && line[0] == 'b', "mem");
  if (size >= 0) has(size, "always");
  char link[64] = "";
  snprintf(path, sizeof path, "/proc/self/fd/%d", space);
  test_check(readlink(path, link, 60) > 0 && strncmp(link, "uts:[", 5) == 0, "%s", link);
  kill(child, SIGKILL);
  wait(NULL);
  test_pass();
}
