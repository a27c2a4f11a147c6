/* Pipes: ends reopened through /proc with other flags, tee and splice and vmsplice leftovers, half closed, full, packets, sizes, owners. */
/* kmonte-shows: pipe/pipe-end pipe/pipe */
#include "kmonte-test.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

static void make(int *ends, int flags) { test_check(pipe2(ends, flags) == 0, "pipe"); }

static int reopened(int fd, int flags) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int again = open(path, flags);
  test_check(again >= 0, "open %s", path);
  return again;
}

int main(void) {
  test_begin();
  signal(SIGPIPE, SIG_IGN);
  int a[2], b[2], c[2], d[2], e[2], f[2], g[2], h[2];
  make(a, O_CLOEXEC), make(b, 0), make(c, O_NONBLOCK), make(d, O_DIRECT), make(e, 0), make(f, 0), make(g, 0), make(h, 0);
  int both = reopened(a[0], O_RDWR), writer = reopened(a[0], O_WRONLY | O_NONBLOCK), reader = reopened(a[1], O_RDONLY);
  close(a[0]), close(a[1]);
  test_check(write(writer, "reopened", 8) == 8, "reopened");
  test_check(write(b[1], "teed", 4) == 4 && tee(b[0], e[1], 10, 0) == 4, "tee");
  int file = open("file", O_RDWR | O_CREAT, 0600);
  test_check(write(file, "spliced", 7) == 7 && lseek(file, 0, SEEK_SET) == 0, "file");
  test_check(splice(file, NULL, c[1], NULL, 7, 0) == 7, "splice");
  static char page[4096] __attribute__((aligned(4096))) = "vmspliced";
  struct iovec vector = {page, 9};
  test_check(vmsplice(c[1], &vector, 1, 0) == 9, "vmsplice");
  for (int i = 0; i < 3; i++) test_check(write(d[1], "packet", 4 + i) == 4 + i, "packet");
  close(d[1]);
  test_check(fcntl(f[0], F_SETPIPE_SZ, 4096) == 4096 && fcntl(g[1], F_SETPIPE_SZ, 1 << 20) == 1 << 20, "size");
  static char block[4096];
  memset(block, 'f', sizeof block);
  test_check(write(f[1], block, 4096) == 4096, "full");
  close(h[0]);
  fcntl(g[0], F_SETOWN, getpid()), fcntl(g[0], F_SETSIG, SIGRTMIN), fcntl(g[0], F_SETFL, O_ASYNC | O_NONBLOCK);
  sigset_t mask;
  sigemptyset(&mask), sigaddset(&mask, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  int flags = fcntl(writer, F_GETFL);
  test_ready_and_wait();
  char buffer[8192];
  test_check(fcntl(writer, F_GETFL) == flags && (fcntl(both, F_GETFL) & O_ACCMODE) == O_RDWR, "flags");
  test_check(read(reader, buffer, 100) == 8 && memcmp(buffer, "reopened", 8) == 0 && write(both, "x", 1) == 1 && read(both, buffer, 9) == 1, "reopened");
  test_check(read(b[0], buffer, 100) == 4 && read(e[0], buffer, 100) == 4 && memcmp(buffer, "teed", 4) == 0, "tee");
  test_check(read(c[0], buffer, 100) == 16 && memcmp(buffer, "splicedvmspliced", 16) == 0, "splice: %.16s", buffer);
  for (int i = 0; i < 3; i++) test_check(read(d[0], buffer, 100) == 4 + i, "packet %d", i);
  test_check(read(d[0], buffer, 100) == 0, "the end");
  struct pollfd polled = {.fd = f[1], .events = POLLOUT};
  test_check(poll(&polled, 1, 0) == 0 && read(f[0], buffer, 8192) == 4096 && poll(&polled, 1, 0) == 1, "full");
  test_check(fcntl(f[1], F_GETPIPE_SZ) == 4096 && fcntl(g[0], F_GETPIPE_SZ) == 1 << 20, "sizes");
  test_check(write(h[1], "x", 1) == -1 && errno == EPIPE, "half closed");
  siginfo_t info;
  struct timespec none = {0, 0};
  test_check(sigtimedwait(&mask, &info, &none) == -1, "a signal from nowhere");
  test_check(write(g[1], "x", 1) == 1 && sigtimedwait(&mask, &info, &none) == SIGRTMIN && info.si_fd == g[0], "O_ASYNC");
  test_pass();
}
