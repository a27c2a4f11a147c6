/* A pseudo-terminal, with both sides and input that nobody has read, of a process whose first thread has ended. */
/* kmonte-shows: tty/pty-master tty/pty thread/ended-leader */
#include "kmonte-test.h"
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static pthread_t leader;

static char state_of(pid_t tid) {
  char path[64], text[256] = {0};
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0 || read(file, text, sizeof text - 1) <= 0) return '?';
  close(file);
  return strrchr(text, ')')[2];
}

static void *work(void *argument) {
  (void)argument;
  void *result;
  test_check(pthread_join(leader, &result) == 0, "the leader has ended");
  while (state_of(getpid()) != 'Z') usleep(1000);
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  test_check(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0, "master");
  char path[64], name[64], buffer[100];
  test_check(ptsname_r(master, path, sizeof path) == 0, "name");
  int slave = open(path, O_RDWR | O_NOCTTY);
  struct termios modes, now;
  test_check(slave >= 0 && tcgetattr(slave, &modes) == 0, "slave");
  modes.c_lflag &= ~ECHO;
  test_check(tcsetattr(slave, TCSANOW, &modes) == 0 && tcgetattr(slave, &modes) == 0, "modes");
  struct winsize size = {51, 132, 7, 8}, size_now;
  test_check(ioctl(master, TIOCSWINSZ, &size) == 0, "size");
  test_check(write(master, "unread\n", 7) == 7, "input");
  usleep(100000); /* the line discipline takes it by and by */
  test_ready_and_wait();
  test_check(state_of(getpid()) == 'Z', "the first thread is '%c'", state_of(getpid()));
  test_check(ptsname_r(master, name, sizeof name) == 0 && strcmp(name, path) == 0, "master of %s", name);
  test_check(ttyname_r(slave, name, sizeof name) == 0 && strcmp(name, path) == 0, "slave %s", name);
  test_check(tcgetattr(slave, &now) == 0 && memcmp(&now, &modes, sizeof now) == 0, "modes");
  test_check(ioctl(slave, TIOCGWINSZ, &size_now) == 0 && memcmp(&size, &size_now, sizeof size) == 0, "size");
  test_check(read(slave, buffer, sizeof buffer) == 7 && memcmp(buffer, "unread\n", 7) == 0, "input that waited");
  test_check(write(master, "hello\n", 6) == 6 && read(slave, buffer, sizeof buffer) == 6, "new input");
  test_check(write(slave, "out\n", 4) == 4, "output");
  usleep(100000);
  test_check(read(master, buffer, sizeof buffer) == 5 && memcmp(buffer, "out\r\n", 5) == 0, "output");
  test_pass();
  return NULL;
}

int main(void) {
  test_begin();
  leader = pthread_self();
  pthread_t thread;
  test_check(pthread_create(&thread, NULL, work, NULL) == 0, "thread");
  pthread_exit(NULL);
}
