/* Named pipes: one end open, both, O_RDWR, without a name, replaced by another, in two processes. */
/* kmonte-shows: pipe/fifo-end pipe/fifo */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

int main(void) {
  test_begin();
  signal(SIGPIPE, SIG_IGN);
  char buffer[100];
  test_check(mkfifo("one", 0640) == 0 && mkfifo("two", 0600) == 0 && mkfifo("gone", 0604) == 0 && mkfifo("shared", 0600) == 0, "mkfifo");
  int alone = open("one", O_RDONLY | O_NONBLOCK);
  int both = open("two", O_RDWR), append = open("two", O_WRONLY | O_APPEND);
  test_check(alone >= 0 && both >= 0 && append >= 0 && write(both, "hello ", 6) == 6 && write(append, "world", 5) == 5, "open");
  int lost = open("gone", O_RDWR | O_NONBLOCK);
  test_check(write(lost, "lost", 4) == 4, "write");
  unlink("gone");
  test_check(mkfifo("gone", 0600) == 0, "mkfifo");
  int other = open("gone", O_RDWR | O_NONBLOCK);
  test_check(write(other, "other", 5) == 5, "write");
  pid_t child = fork();
  if (child == 0) {
    signal(SIGTERM, SIG_DFL);
    int in = open("shared", O_RDONLY);
    char c[20];
    ssize_t n, all = 0;
    while ((n = read(in, c + all, 1)) > 0) all += n;
    _exit(all);
  }
  int out = open("shared", O_WRONLY);
  test_check(write(out, "abc", 3) == 3, "write");
  int flags = fcntl(append, F_GETFL);

  test_ready_and_wait();

  test_check(fcntl(append, F_GETFL) == flags && fcntl(both, F_GETFL) == (O_RDWR | 0x8000), "flags");
  test_check(read(alone, buffer, 1) == 0, "no writer");
  int writer = open("one", O_WRONLY | O_NONBLOCK);
  test_check(writer >= 0 && write(writer, "x", 1) == 1 && read(alone, buffer, 1) == 1, "a writer");
  test_check(read(both, buffer, 100) == 11 && memcmp(buffer, "hello world", 11) == 0, "data");
  test_check(read(lost, buffer, 100) == 4 && memcmp(buffer, "lost", 4) == 0, "without a name");
  test_check(read(other, buffer, 100) == 5 && memcmp(buffer, "other", 5) == 0, "another of its name");
  struct stat stat;
  test_check(fstat(lost, &stat) == 0 && stat.st_nlink == 0 && S_ISFIFO(stat.st_mode) && (stat.st_mode & 0777) == 0604, "mode");
  test_check(write(out, "de", 2) == 2, "write");
  close(out);
  int status;
  test_check(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 5, "the child read %d", WEXITSTATUS(status));
  test_pass();
}
