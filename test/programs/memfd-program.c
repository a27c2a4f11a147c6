/* kmonte-shows: file/memfd */
/* A child whose program is an anonymous file that the parent can still write to, and the times of such files. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

int main(void) {
  test_begin();
  char bytes[65536], path[64], link[128] = {0};
  int program = memfd_create("program", 0), source = open("/bin/sleep", O_RDONLY), ends[2];
  for (ssize_t got; (got = read(source, bytes, sizeof bytes)) > 0;) test_check(write(program, bytes, got) == got, "copy");
  test_check(fcntl(program, F_SETFL, O_APPEND) == 0, "O_APPEND");
  test_check(pipe2(ends, O_CLOEXEC) == 0, "pipe");
  pid_t child = fork();
  if (child == 0) {
    fexecve(program, (char *[]){"sleep", "1000", NULL}, (char *[]){NULL});
    _exit(9);
  }
  close(ends[1]);
  test_check(read(ends[0], bytes, 1) == 0, "the program does not start");
  int timed = memfd_create("timed", 0);
  struct timespec times[2] = {{1000, 5}, {2000, 7}};
  test_check(write(timed, "x", 1) == 1 && futimens(timed, times) == 0, "times");
  test_ready_and_wait();
  struct stat now;
  test_check(fstat(timed, &now) == 0 && now.st_mtim.tv_sec == 2000 && now.st_mtim.tv_nsec == 7, "st_mtim");
  test_check(now.st_atim.tv_sec == 1000 && now.st_atim.tv_nsec == 5, "st_atim");
  test_check((fcntl(program, F_GETFL) & (O_ACCMODE | O_APPEND)) == (O_RDWR | O_APPEND), "flags");
  test_check(waitpid(child, NULL, WNOHANG) == 0, "the child has ended");
  snprintf(path, sizeof path, "/proc/%d/exe", child);
  test_check(readlink(path, link, sizeof link - 1) > 0 && strstr(link, "memfd:program"), "its program is %s", link);
  kill(child, SIGKILL);
  test_check(waitpid(child, NULL, 0) == child, "wait");
  test_pass();
}
