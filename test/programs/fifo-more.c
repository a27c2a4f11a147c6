/* FIFOs: one end open only, data left by writers that went, without a name, opened for both, an opening in progress. */
/* kmonte-shows: pipe/fifo-end */
#include "kmonte-test.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char buffer[65536];

int main(void) {
  test_begin();
  const char *names[] = {"only-reader", "only-writer", "left", "both", "nameless", "waiting", "full"};
  for (int i = 0; i < 7; i++) test_check(mkfifo(names[i], 0640) == 0, "mkfifo");
  int reader = open("only-reader", O_RDONLY | O_NONBLOCK);
  int helper = open("only-writer", O_RDONLY | O_NONBLOCK), writer = open("only-writer", O_WRONLY);
  close(helper);
  int left = open("left", O_RDONLY | O_NONBLOCK), sender = open("left", O_WRONLY);
  test_check(write(sender, "left behind", 11) == 11, "left");
  close(sender);
  int both = open("both", O_RDWR);
  test_check(write(both, "both", 4) == 4, "both");
  int gone = open("nameless", O_RDWR | O_NONBLOCK), gone_reader = open("nameless", O_RDONLY);
  test_check(write(gone, "nameless", 8) == 8, "nameless");
  unlink("nameless");
  int full = open("full", O_RDWR | O_NONBLOCK);
  long filled = 0;
  while (write(full, buffer, 4096) == 4096) filled += 4096;
  pid_t child = fork();
  if (child == 0) {
    signal(SIGTERM, SIG_DFL);
    int fd = open("waiting", O_RDONLY);
    _exit(read(fd, buffer, 10) == 5 && memcmp(buffer, "hello", 5) == 0 ? 0 : 1);
  }
  usleep(100000);
  int flags = fcntl(reader, F_GETFL);
  test_ready_and_wait();
  signal(SIGPIPE, SIG_IGN);
  struct pollfd polled = {.fd = reader, .events = POLLIN};
  test_check(fcntl(reader, F_GETFL) == flags && poll(&polled, 1, 0) == 0, "only a reader: %x", polled.revents);
  test_check(read(reader, buffer, 1) == 0, "the end of the file");
  test_check(write(writer, "x", 1) == -1 && errno == EPIPE, "only a writer");
  test_check(read(left, buffer, 100) == 11 && memcmp(buffer, "left behind", 11) == 0 && read(left, buffer, 1) == 0, "left");
  test_check(read(both, buffer, 100) == 4 && (fcntl(both, F_GETFL) & O_ACCMODE) == O_RDWR, "both");
  test_check(read(gone_reader, buffer, 100) == 8 && access("nameless", F_OK) == -1, "nameless");
  long emptied = 0;
  for (int got; (got = read(full, buffer, sizeof buffer)) > 0;) emptied += got;
  test_check(emptied == filled, "%ld of %ld", emptied, filled);
  test_check(waitpid(child, NULL, WNOHANG) == 0, "the opening");
  int other = open("waiting", O_WRONLY), status;
  test_check(write(other, "hello", 5) == 5 && waitpid(child, &status, 0) == child && status == 0, "child: %x", status);
  test_pass();
}
