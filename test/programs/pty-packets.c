/* kmonte-shows: tty/pty */
/* Terminals with unread data: one in packet mode, one locked, one whose slave side has been closed. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static int master(int *slave) {
  int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
  test_check(fd >= 0 && grantpt(fd) == 0 && unlockpt(fd) == 0, "master");
  *slave = open(ptsname(fd), O_RDWR | O_NOCTTY | O_NONBLOCK);
  test_check(*slave >= 0, "slave");
  struct termios modes;
  tcgetattr(*slave, &modes);
  cfmakeraw(&modes);
  test_check(tcsetattr(*slave, TCSANOW, &modes) == 0, "modes");
  return fd;
}

static void expect(int fd, const char *bytes, int length) {
  char found[20] = "";
  int got = read(fd, found, 19);
  test_check(got == length && memcmp(found, bytes, length) == 0, "%d bytes: %s", got, found);
}

int main(void) {
  test_begin();
  int slaves[3], one = 1, now = 0;
  int packets = master(&slaves[0]), locked = master(&slaves[1]), left = master(&slaves[2]);
  test_check(ioctl(packets, TIOCPKT, &one) == 0 && ioctl(locked, TIOCSPTLCK, &one) == 0, "ioctl");
  test_check(write(slaves[0], "shown", 5) == 5 && write(packets, "typed", 5) == 5, "packets");
  test_check(write(slaves[1], "seen", 4) == 4 && write(locked, "keys", 4) == 4, "locked");
  test_check(write(slaves[2], "last words", 10) == 10 && close(slaves[2]) == 0, "left");
  usleep(20000);
  test_ready_and_wait();
  struct pollfd poller = {packets, POLLPRI, 0};
  test_check(poll(&poller, 1, 0) == 0, "news");
  expect(packets, "\0shown", 6);
  expect(slaves[0], "typed", 5);
  expect(locked, "seen", 4);
  expect(slaves[1], "keys", 4);
  expect(left, "last words", 10);
  char byte;
  test_check(read(left, &byte, 1) < 0 && errno == EIO, "the end");
  test_check(ioctl(packets, TIOCGPKT, &now) == 0 && now == 1, "packet mode");
  test_check(ioctl(locked, TIOCGPTLCK, &now) == 0 && now == 1, "locked");
  test_check(ioctl(slaves[0], TCFLSH, TCOFLUSH) == 0, "flush");
  expect(packets, "\2", 1);
  test_pass();
}
