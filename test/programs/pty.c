/* A pseudo-terminal with both sides here: number, modes, window size, packet mode; a slave side that was closed. */
/* kmonte-shows: tty/pty-master tty/pty */
#include "kmonte-test.h"
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

static int master(void) {
  int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  test_check(fd >= 0 && grantpt(fd) == 0 && unlockpt(fd) == 0, "master");
  return fd;
}

int main(void) {
  test_begin();
  int a = master(), b = master(), c = master(), on = 1;
  char name_a[64], name_b[64], name[64];
  strcpy(name_a, ptsname(a)), strcpy(name_b, ptsname(b));
  int slave = open(name_a, O_RDWR | O_NOCTTY), again = open(name_a, O_RDONLY | O_NOCTTY | O_NONBLOCK);
  struct termios modes, now;
  tcgetattr(slave, &modes);
  modes.c_lflag &= ~(ECHO | ISIG);
  modes.c_cc[VERASE] = 'E';
  cfsetspeed(&modes, B57600);
  test_check(tcsetattr(slave, TCSANOW, &modes) == 0 && tcgetattr(slave, &modes) == 0, "modes");
  struct winsize size = {51, 132, 7, 8}, size_now;
  test_check(ioctl(a, TIOCSWINSZ, &size) == 0 && ioctl(a, TIOCPKT, &on) == 0, "size");
  fchmod(slave, 0622);
  int once = open(name_b, O_RDWR | O_NOCTTY);
  close(once);
  int flags = fcntl(again, F_GETFL), master_flags = fcntl(a, F_GETFL);
  test_ready_and_wait();
  test_check(ptsname_r(a, name, sizeof name) == 0 && strcmp(name, name_a) == 0, "%s", name);
  test_check(ttyname_r(slave, name, sizeof name) == 0 && strcmp(name, name_a) == 0, "%s", name);
  test_check(fcntl(again, F_GETFL) == flags && fcntl(a, F_GETFL) == master_flags, "flags %o %o", fcntl(again, F_GETFL), flags);
  test_check(tcgetattr(slave, &now) == 0 && memcmp(&now, &modes, sizeof now) == 0, "modes");
  test_check(ioctl(slave, TIOCGWINSZ, &size_now) == 0 && memcmp(&size, &size_now, sizeof size) == 0, "size");
  struct stat stat;
  test_check(fstat(slave, &stat) == 0 && (stat.st_mode & 0777) == 0622, "mode");
  char buffer[100];
  test_check(write(a, "hello\n", 6) == 6 && read(slave, buffer, 100) == 6 && memcmp(buffer, "hello\n", 6) == 0, "input");
  test_check(write(slave, "out\n", 4) == 4, "output");
  usleep(100000); /* it comes in parts */
  test_check(read(a, buffer, 100) == 6 && memcmp(buffer, "\0out\r\n", 6) == 0, "packet mode");
  struct pollfd file = {.fd = b, .events = POLLIN};
  test_check(poll(&file, 1, 0) == 1 && (file.revents & POLLHUP), "the slave side that was closed");
  file.fd = c;
  test_check(poll(&file, 1, 0) == 0, "the slave side that was never open");
  test_pass();
}
