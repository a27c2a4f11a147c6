/* A session in a pseudo-terminal: controlling terminal, foreground group, /dev/tty, job control as a shell does it. */
/* kmonte-shows: tty/terminal */
#include "kmonte-test.h"
#include <fcntl.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

static volatile sig_atomic_t interrupted;
static void on_int(int signal) { interrupted = signal; }

static void session(void) {
  signal(SIGTERM, SIG_IGN);
  signal(SIGTTOU, SIG_IGN);
  int tty = open("/dev/tty", O_RDWR);
  if (tty < 0) _exit(10);
  pid_t job = fork();
  if (job == 0) {
    setpgid(0, 0);
    struct sigaction action = {.sa_handler = on_int};
    sigaction(SIGINT, &action, NULL);
    while (!interrupted) usleep(10000);
    _exit(tcgetpgrp(0) == getpid() && tcgetsid(0) == getppid() ? 33 : 34);
  }
  setpgid(job, job);
  tcsetpgrp(0, job);
  if (write(1, "go\n", 3) != 3) _exit(11);
  int status;
  if (waitpid(job, &status, 0) != job || !WIFEXITED(status) || WEXITSTATUS(status) != 33) _exit(12);
  tcsetpgrp(tty, getpid());
  if (tcgetpgrp(0) != getpid()) _exit(13);
  char line[20];
  if (read(tty, line, sizeof line) != 4 || memcmp(line, "bye\n", 4) != 0) _exit(14);
  _exit(44);
}

int main(void) {
  test_begin();
  int master;
  pid_t leader = forkpty(&master, NULL, NULL, NULL);
  if (leader == 0) session();
  char buffer[100];
  usleep(300000); /* it comes in parts */
  test_check(read(master, buffer, sizeof buffer) == 4, "go");
  usleep(100000);
  test_ready_and_wait();
  test_check(tcgetpgrp(master) > 0 && tcgetpgrp(master) != leader, "foreground group %d", tcgetpgrp(master));
  test_check(tcgetsid(master) == leader, "session %d", tcgetsid(master));
  test_check(write(master, "\3", 1) == 1, "^C");
  usleep(300000);
  test_check(write(master, "bye\n", 4) == 4, "bye");
  int status;
  test_check(waitpid(leader, &status, 0) == leader && WIFEXITED(status) && WEXITSTATUS(status) == 44, "session: %x", status);
  test_pass();
}
