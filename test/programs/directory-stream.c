/* Folders in the middle of being read, on disk and in memory: no name comes twice, none is left out. */
/* kmonte-shows: file/directory */
#include "kmonte-test.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#define COUNT 300

static int begin(const char *folder, char *seen) {
  char name[300];
  mkdir(folder, 0700);
  for (int i = 0; i < COUNT; i++) snprintf(name, sizeof name, "%s/%d", folder, i), close(open(name, O_CREAT | O_WRONLY, 0600));
  int fd = open(folder, O_RDONLY | O_DIRECTORY);
  char buffer[1024];
  for (int round = 0; round < 3; round++) {
    int got = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
    for (int at = 0; at < got; at += *(unsigned short *)(buffer + at + 16)) {
      const char *entry = buffer + at + 19;
      if (entry[0] != '.') seen[atoi(entry)]++;
    }
  }
  return fd;
}

static void finish(int fd, char *seen) {
  char buffer[4096];
  for (int got; (got = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0;)
    for (int at = 0; at < got; at += *(unsigned short *)(buffer + at + 16))
      if (buffer[at + 19] != '.') seen[atoi(buffer + at + 19)]++;
  for (int i = 0; i < COUNT; i++) test_check(seen[i] == 1, "%d was seen %d times", i, seen[i]);
}

int main(void) {
  test_begin();
  static char on_disk[COUNT], in_memory[COUNT];
  char folder[64], command[100];
  snprintf(folder, sizeof folder, "/dev/shm/kmonte-dir-%d", getpid());
  int disk = begin("folder", on_disk), memory = begin(folder, in_memory);
  test_ready_and_wait();
  finish(disk, on_disk), finish(memory, in_memory);
  snprintf(command, sizeof command, "rm -rf %s", folder);
  test_check(system(command) == 0, "rm");
  test_pass();
}
