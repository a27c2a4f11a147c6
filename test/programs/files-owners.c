/* Owners of signals: process, group, thread; who set them; the signal; write hints; O_ASYNC on a socket and a terminal. */
/* kmonte-shows: file/regular */
#include "kmonte-test.h"
#include <fcntl.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17
#endif
#ifndef F_SETOWN_EX
#define F_SETOWN_EX 15
#define F_GETOWN_EX 16
struct f_owner_ex { int type; pid_t pid; };
#endif

static int pair(int *other) {
  int ends[2];
  test_check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "pair");
  *other = ends[1];
  return ends[0];
}

int main(void) {
  test_begin();
  setpgid(0, 0);
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGIO), sigaddset(&mask, SIGRTMIN + 2);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  int a2, b2, c2, a = pair(&a2), b = pair(&b2), c = pair(&c2);
  test_check(fcntl(a, F_SETOWN, -getpgrp()) == 0, "group");
  struct f_owner_ex thread = {0, syscall(SYS_gettid)}, now;
  test_check(fcntl(b, F_SETOWN_EX, &thread) == 0 && fcntl(b, F_SETSIG, SIGRTMIN + 2) == 0, "thread");
  test_check(setresuid(1111, 2222, 0) == 0 && fcntl(c, F_SETOWN, getpid()) == 0 && setresuid(0, 0, 0) == 0, "uids");
  fcntl(a, F_SETFL, O_ASYNC), fcntl(b, F_SETFL, O_ASYNC | O_NONBLOCK);
  int file = open("file", O_RDWR | O_CREAT, 0600);
  unsigned long long hint = 3, hint_now = 0;
  test_check(fcntl(file, 1036 /* F_SET_RW_HINT */, &hint) == 0, "hint");
  test_ready_and_wait();
  test_check(fcntl(a, F_GETOWN_EX, &now) == 0 && now.type == 2 && now.pid == getpgrp(), "group: %d %d", now.type, now.pid);
  test_check(fcntl(b, F_GETOWN_EX, &now) == 0 && now.type == 0 && now.pid == getpid(), "thread: %d %d", now.type, now.pid);
  test_check(fcntl(b, F_GETSIG) == SIGRTMIN + 2, "signal");
  unsigned uids[2] = {0};
  test_check(fcntl(c, F_GETOWNER_UIDS, uids) == 0 && uids[0] == 1111 && uids[1] == 2222, "uids %u %u", uids[0], uids[1]);
  test_check(fcntl(file, 1035 /* F_GET_RW_HINT */, &hint_now) == 0 && hint_now == 3, "hint %llu", hint_now);
  siginfo_t info;
  struct timespec none = {0, 0};
  test_check(sigtimedwait(&mask, &info, &none) == -1, "a signal from nowhere");
  test_check(write(b2, "x", 1) == 1 && sigtimedwait(&mask, &info, &none) == SIGRTMIN + 2 && info.si_fd == b, "O_ASYNC");
  test_check(write(a2, "x", 1) == 1 && sigtimedwait(&mask, &info, &none) == SIGIO, "O_ASYNC of the group");
  test_pass();
}
