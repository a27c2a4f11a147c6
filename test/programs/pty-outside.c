/* A terminal outside that has the same path, in another mount namespace, is another terminal. */
/* kmonte-shows: pipe/outside */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* Opens terminals of an instance of its own until one has the number, says who it is, and stays for a while. */
static void stay_elsewhere(int number, int tell) {
  char path[64];
  if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) return;
  if (mount("devpts", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666")) return;
  for (int index = -1; index != number;) {
    int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY), zero = 0;
    if (master < 0 || ioctl(master, TIOCGPTN, &index) || ioctl(master, TIOCSPTLCK, &zero)) return;
  }
  snprintf(path, sizeof path, "/dev/pts/%d", number);
  pid_t self = getpid();
  if (open(path, O_RDWR | O_NOCTTY) < 0 || write(tell, &self, sizeof self) != sizeof self) return;
  close(tell);
  alarm(60);
  pause();
}

int main(void) {
  test_begin();
  char path[64];
  int master = posix_openpt(O_RDWR | O_NOCTTY), number, answer[2];
  test_check(master >= 0 && unlockpt(master) == 0 && ioctl(master, TIOCGPTN, &number) == 0, "a terminal");
  snprintf(path, sizeof path, "/dev/pts/%d", number);
  int slave = open(path, O_RDWR | O_NOCTTY);
  test_check(slave >= 0 && pipe(answer) == 0, "open");
  pid_t between = fork();
  if (between == 0) {
    if (fork() != 0) _exit(0);
    signal(SIGTERM, SIG_DFL);
    setsid(), close(master), close(slave), close(answer[0]);
    stay_elsewhere(number, answer[1]);
    _exit(1);
  }
  waitpid(between, NULL, 0);
  close(answer[1]);
  pid_t other;
  test_check(read(answer[0], &other, sizeof other) == sizeof other, "the other terminal");
  close(answer[0]);
  test_ready_and_wait();
  kill(other, SIGKILL);
  test_check(write(slave, "x", 1) == 1 && read(master, path, 64) == 1 && *path == 'x', "the terminal");
  test_pass();
}
