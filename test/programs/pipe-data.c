/* A pipe with data standing in it, both ends in one process, keeps its bytes, its size and its flags. */
/* kmonte-shows: pipe/pipe-end pipe/pipe */
#include "kmonte-test.h"
#include <fcntl.h>

int main(void) {
  test_begin();
  int ends[2];
  test_check(pipe2(ends, O_NONBLOCK) == 0, "pipe");
  test_check(fcntl(ends[1], F_SETPIPE_SZ, 131072) == 131072, "size");
  static char data[100000];
  for (size_t i = 0; i < sizeof data; i++) data[i] = (char)(i * 7 + i / 251);
  test_check(write(ends[1], data, sizeof data) == sizeof data, "write");
  test_ready_and_wait();
  static char back[200000];
  ssize_t got = 0, part;
  while ((part = read(ends[0], back + got, sizeof back - got)) > 0) got += part;
  test_check(errno == EAGAIN, "O_NONBLOCK is gone");
  test_check(got == sizeof data, "%zd bytes instead of %zu", got, sizeof data);
  test_check(memcmp(data, back, sizeof data) == 0, "other bytes");
  test_check(fcntl(ends[0], F_GETPIPE_SZ) == 131072, "the pipe has another size");
  test_check(write(ends[1], "x", 1) == 1 && read(ends[0], back, 1) == 1, "the pipe does not work");
  test_pass();
}
