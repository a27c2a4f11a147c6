/* What stands in terminals: lines and half a line typed, raw bytes, output that nobody has read; output that was stopped. */
/* kmonte-shows: tty/pty */
#include "kmonte-test.h"
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static void make(int *master, int *slave) { test_check(openpty(master, slave, NULL, NULL, NULL) == 0, "openpty"); }

static int got(int fd, const char *text) {
  char buffer[200];
  struct pollfd polled = {.fd = fd, .events = POLLIN};
  int length = 0, wanted = strlen(text);
  while (length < wanted && poll(&polled, 1, 500) == 1) {
    int more = read(fd, buffer + length, sizeof buffer - length);
    if (more <= 0) break;
    length += more;
  }
  if (length == wanted && memcmp(buffer, text, length) == 0) return 1;
  printf("got %d: %.*s\n", length, length, buffer);
  return 0;
}

int main(void) {
  test_begin();
  int line[2], half[2], raw[2], output[2], stopped[2], typed[2];
  make(&line[0], &line[1]), make(&half[0], &half[1]), make(&raw[0], &raw[1]), make(&output[0], &output[1]), make(&stopped[0], &stopped[1]), make(&typed[0], &typed[1]);
  struct termios modes, now;
  tcgetattr(raw[1], &modes);
  cfmakeraw(&modes);
  test_check(tcsetattr(raw[1], TCSANOW, &modes) == 0, "raw");
  tcgetattr(typed[1], &modes);
  modes.c_lflag &= ~ECHO;
  tcsetattr(typed[1], TCSANOW, &modes);
  test_check(write(line[0], "one\ntwo\n\004thr", 12) == 12 && write(half[0], "hal", 3) == 3, "lines");
  test_check(write(raw[0], "\003\r\0raw", 6) == 6 && write(output[1], "shown\n", 6) == 6, "raw and output");
  test_check(write(typed[0], "silent\n", 7) == 7, "typed");
  usleep(50000);
  test_check(tcflow(stopped[1], TCOOFF) == 0 && write(stopped[0], "\023", 1) == 1, "stop");
  usleep(50000);
  test_ready_and_wait();
  test_check(tcgetattr(raw[1], &now) == 0 && !(now.c_lflag & ICANON) && tcgetattr(half[1], &now) == 0 && (now.c_lflag & (ICANON | ECHO)) == (ICANON | ECHO), "modes");
  test_check(got(line[0], "one\r\ntwo\r\nthr") && got(half[0], "hal"), "echo");
  char buffer[100];
  test_check(read(line[1], buffer, 100) == 4 && memcmp(buffer, "one\n", 4) == 0 && read(line[1], buffer, 100) == 4, "lines");
  test_check(read(line[1], buffer, 100) == 0, "the end of the file");
  test_check(write(line[0], "ee\n", 3) == 3 && got(line[1], "three\n"), "the rest of a line");
  test_check(write(half[0], "\177f\n", 3) == 3 && got(half[1], "haf\n"), "the other half");
  test_check(read(raw[1], buffer, 100) == 6 && memcmp(buffer, "\003\r\0raw", 6) == 0, "raw");
  test_check(got(output[0], "shown\r\n") && got(typed[1], "silent\n"), "output");
  struct pollfd polled = {.fd = stopped[1], .events = POLLOUT};
  test_check(poll(&polled, 1, 0) == 0, "not stopped");
  test_check(tcflow(stopped[1], TCOON) == 0 && write(stopped[0], "\021", 1) == 1, "start");
  test_check(poll(&polled, 1, 500) == 1 && write(stopped[1], "on\n", 3) == 3 && got(stopped[0], "on\r\n"), "on");
  polled.fd = typed[0], polled.events = POLLIN;
  test_check(poll(&polled, 1, 100) == 0, "an echo from nowhere");
  test_pass();
}
