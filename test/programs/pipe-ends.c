/* Pipes in every state: packets, full, without a reader, without a writer, between relatives, opened anew. */
/* kmonte-shows: pipe/pipe-end pipe/pipe */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/wait.h>

static void make(int ends[2], int flags) { test_check(pipe2(ends, flags | O_NONBLOCK) == 0, "pipe"); }

int main(void) {
  test_begin();
  signal(SIGPIPE, SIG_IGN);
  int packets[2], full[2], deaf[2], ended[2], down[2], up[2], both[2];
  char buffer[65536 + 1];
  make(packets, O_DIRECT);
  for (int i = 1; i <= 10; i++) test_check(write(packets[1], "packet-data", i) == i, "packet");
  make(full, 0);
  while (write(full[1], "full", 4) > 0) {}
  while (write(full[1], "f", 1) > 0) {}
  make(deaf, 0);
  test_check(write(deaf[1], "x", 1) == 1, "write");
  close(deaf[0]);
  make(ended, 0);
  test_check(write(ended[1], "last", 4) == 4, "write");
  close(ended[1]);
  make(both, 0);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", both[0]);
  int opened = open(path, O_RDWR | O_NONBLOCK), reader = open(path, O_RDONLY | O_NONBLOCK);
  int write_flags = fcntl(both[1], F_GETFL), opened_flags = fcntl(opened, F_GETFL), reader_flags = fcntl(reader, F_GETFL);
  test_check(opened >= 0 && reader >= 0 && write(opened, "abc", 3) == 3, "opened anew");
  test_check(pipe(down) == 0 && pipe(up) == 0, "pipe");
  pid_t child = fork();
  if (child == 0) {
    signal(SIGTERM, SIG_DFL);
    close(down[1]);
    close(up[0]);
    close(both[1]);
    close(opened);
    char c;
    while (read(down[0], &c, 1) == 1) {
      c++;
      if (write(up[1], &c, 1) != 1) _exit(2);
    }
    _exit(7);
  }
  close(down[0]);
  close(up[1]);
  usleep(50000); /* the child waits in read(2) */

  test_ready_and_wait();

  for (int i = 1; i <= 10; i++) test_check(read(packets[0], buffer, 100) == i && memcmp(buffer, "packet-data", i) == 0, "packet %d", i);
  test_check(read(packets[0], buffer, 100) == -1 && errno == EAGAIN, "empty");
  test_check(write(packets[1], "ab", 2) == 2 && write(packets[1], "c", 1) == 1, "write");
  test_check(read(packets[0], buffer, 100) == 2 && read(packets[0], buffer, 100) == 1, "no packets any more");
  test_check(write(full[1], "f", 1) == -1 && errno == EAGAIN, "not full");
  test_check(read(full[0], buffer, 65536) == 65536 && memcmp(buffer, "fullfull", 8) == 0, "full");
  test_check(write(deaf[1], "x", 1) == -1 && errno == EPIPE, "a reader came from nowhere");
  test_check(read(ended[0], buffer, 100) == 4 && read(ended[0], buffer, 100) == 0, "no end of file");
  test_check(fcntl(both[1], F_GETFL) == write_flags, "flags %x", fcntl(both[1], F_GETFL));
  test_check(fcntl(opened, F_GETFL) == opened_flags && fcntl(reader, F_GETFL) == reader_flags, "flags");
  test_check(read(reader, buffer, 2) == 2 && read(both[0], buffer + 2, 2) == 1 && memcmp(buffer, "abc", 3) == 0, "data");
  close(both[1]);
  test_check(write(opened, "z", 1) == 1 && read(both[0], buffer, 1) == 1 && buffer[0] == 'z', "both ends in one");
  close(opened);
  test_check(read(both[0], buffer, 1) == 0, "a writer came from nowhere");
  char c = 'a';
  test_check(write(down[1], &c, 1) == 1 && read(up[0], &c, 1) == 1 && c == 'b', "the child");
  close(down[1]);
  int status;
  test_check(read(up[0], &c, 1) == 0, "the child's end");
  test_check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7, "the child's end: %x", status);
  test_pass();
}
