/*
 * What every self-checking program shares. A program sets something up, says that it is ready, waits while it is
 * frozen and thawed without its knowing, and then looks whether everything is still as it left it.
 */
#ifndef KMONTE_TEST_H
#define KMONTE_TEST_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t test_told;

static void test_on_term(int signal) {
  (void)signal;
  test_told = 1;
}

/* Call first: SIGTERM is how the test tells the program to look. */
static inline void test_begin(void) {
  struct sigaction action = {.sa_handler = test_on_term};
  sigaction(SIGTERM, &action, NULL);
  setvbuf(stdout, NULL, _IOLBF, 0);
}

/* Everything is set up: freeze me now. */
static inline void test_ready(void) {
  printf("READY\n");
  fflush(stdout);
}

/* Sleeps until the test says that the program has been thawed. */
static inline void test_wait(void) {
  sigset_t term, old;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, &old);
  sigset_t open = old;
  sigdelset(&open, SIGTERM);
  while (!test_told) sigsuspend(&open);
  sigprocmask(SIG_SETMASK, &old, NULL);
}

static inline void test_ready_and_wait(void) {
  test_ready();
  test_wait();
}

__attribute__((noreturn)) static inline void test_pass(void) {
  printf("PASS\n");
  fflush(stdout);
  _exit(0);
}

__attribute__((noreturn, format(printf, 1, 2))) static inline void test_fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  printf("FAIL: ");
  vprintf(format, args);
  printf("\n");
  fflush(stdout);
  _exit(1);
}

/* Checks a condition, with errno in the message. */
#define test_check(condition, ...)                                                     \
  do {                                                                                 \
    int test_errno = errno;                                                            \
    if (!(condition)) {                                                                \
      printf("line %d: %s (errno %d: %s)\n", __LINE__, #condition, test_errno, strerror(test_errno)); \
      test_fail(__VA_ARGS__);                                                          \
    }                                                                                  \
  } while (0)

#endif
