/* kmonte-refuses: EXTERNAL_PTY
   The master side of a terminal that a process outside uses. */
/* kmonte-shows: tty/pty-master */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/wait.h>

int main(void) {
  test_begin();
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  test_check(master >= 0 && unlockpt(master) == 0, "master");
  pid_t between = fork();
  if (between == 0) {
    if (fork() == 0) {
      setsid();
      signal(SIGTERM, SIG_DFL);
      int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
      close(master);
      char c;
      while (read(slave, &c, 1) == 1) {}
      _exit(0);
    }
    _exit(0);
  }
  waitpid(between, NULL, 0);
  usleep(100000);
  test_ready_and_wait();
  test_check(write(master, "x", 1) == 1, "write");
  test_pass();
}
