/* The program's own file is gone, and another one stands under its name by now. */
#include "memory-maps.h"
#include <sys/stat.h>
#include <sys/wait.h>

static int copy(const char *from, const char *to) {
  int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0755);
  char buffer[65536];
  ssize_t got;
  while ((got = read(in, buffer, sizeof buffer)) > 0)
    if (write(out, buffer, got) != got) return -1;
  close(in);
  return close(out);
}

int main(int argc, char **argv) {
  test_begin();
  char link[256] = "", now[256] = "";
  if (argc == 1) {
    test_check(copy("/proc/self/exe", "own-copy") == 0, "copy");
    execl("own-copy", "own-copy", "again", NULL);
    test_fail("exec");
  }
  test_check(strcmp(argv[1], "again") == 0, "argument");
  unlink("own-copy");
  if (fork() == 0) {
    test_wait();
    _exit(readlink("/proc/self/exe", now, sizeof now - 1) > 0 && strstr(now, "own-copy (deleted)") ? 0 : 1);
  }
  test_check(readlink("/proc/self/exe", link, sizeof link - 1) > 0 && strstr(link, "own-copy (deleted)"), "exe is %s", link);
  maps_remember();
  test_ready_and_wait();
  maps_check();
  test_check(readlink("/proc/self/exe", now, sizeof now - 1) > 0 && strcmp(link, now) == 0, "exe is %s instead of %s", now, link);
  struct stat info;
  test_check(stat("/proc/self/exe", &info) == 0 && info.st_nlink == 0 && (info.st_mode & 0777) == 0755, "exe");
  kill(0, SIGTERM);
  int status;
  test_check(wait(&status) > 0 && status == 0, "the child ended with %x", status);
  test_check(copy("/proc/self/exe", "own-copy") == 0 && stat("own-copy", &info) == 0 && info.st_size > 10000, "the program can be read");
  test_pass();
}
