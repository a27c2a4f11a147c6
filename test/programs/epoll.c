/* Epoll sets: every mode, nested, numbers that were closed, duplicated or used again since. */
/* kmonte-shows: event/epoll */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

static int add(int set, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

/* The events that are ready for one entry, 0 if none. */
static uint32_t ready(int set, uint64_t data) {
  struct epoll_event events[32];
  int n = epoll_wait(set, events, 32, 0);
  test_check(n >= 0, "wait");
  uint32_t found = 0;
  for (int i = 0; i < n; i++)
    if (events[i].data.u64 == data) found |= events[i].events;
  return found;
}

int main(void) {
  test_begin();
  int set = epoll_create1(EPOLL_CLOEXEC), outer = epoll_create1(0);
  int level = eventfd(1, 0), edge = eventfd(1, 0), shot = eventfd(1, 0), idle = eventfd(0, 0);
  test_check(add(set, level, EPOLLIN, 0xfedcba9876543210) == 0, "level");
  test_check(add(set, idle, EPOLLIN | EPOLLEXCLUSIVE, 2) == 0, "exclusive");
  int edges = epoll_create1(0), shots = epoll_create1(0);
  test_check(add(edges, edge, EPOLLIN | EPOLLET, 3) == 0, "edge");
  test_check(add(shots, shot, EPOLLIN | EPOLLONESHOT, 4) == 0, "shot");
  test_check(ready(edges, 3) == EPOLLIN && ready(edges, 3) == 0, "edge-triggered");
  test_check(ready(shots, 4) == EPOLLIN && ready(shots, 4) == 0, "one-shot");
  /* A hang-up must not wake an entry that has fired. */
  int hung[2];
  test_check(pipe(hung) == 0 && write(hung[1], "x", 1) == 1, "pipe");
  test_check(add(shots, hung[0], EPOLLIN | EPOLLONESHOT, 5) == 0 && ready(shots, 5) == EPOLLIN, "shot");
  close(hung[1]);
  test_check(add(outer, set, EPOLLIN, 6) == 0, "nested");

  /* The same number three times: closed, with the file alive as a duplicate; then another file there. */
  int strange = epoll_create1(0);
  int first = eventfd(0, 0);
  test_check(dup2(first, 700) == 700, "dup");
  test_check(add(strange, 700, EPOLLIN, 71) == 0, "closed number");
  int second = eventfd(0, 0);
  test_check(dup2(second, 700) == 700, "dup");
  test_check(add(strange, 700, EPOLLIN, 72) == 0, "used again");
  int third = eventfd(0, 0);
  test_check(dup3(third, 700, O_CLOEXEC) == 700, "dup");
  test_check(add(strange, 701 - 1, EPOLLIN, 73) == 0, "used again");
  int fourth = eventfd(0, 0);
  test_check(dup2(fourth, 702) == 702 && add(strange, 702, EPOLLIN, 74) == 0 && close(702) == 0, "closed");

  test_ready_and_wait();

  test_check(ready(set, 0xfedcba9876543210) == EPOLLIN, "level-triggered");
  test_check(ready(outer, 6) == EPOLLIN, "nested");
  eventfd_t value;
  test_check(eventfd_read(level, &value) == 0 && value == 1 && ready(set, 0xfedcba9876543210) == 0, "level-triggered");
  test_check(ready(outer, 6) == 0, "nested");
  test_check(eventfd_write(idle, 1) == 0 && ready(set, 2) == EPOLLIN, "exclusive");
  test_check(ready(edges, 3) == 0, "the edge came twice");
  test_check(eventfd_write(edge, 1) == 0 && ready(edges, 3) == EPOLLIN && ready(edges, 3) == 0, "edge-triggered");
  test_check(ready(shots, 4) == 0, "one-shot fired twice");
  test_check(ready(shots, 5) == 0, "one-shot fired at a hang-up");
  struct epoll_event again = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 4};
  test_check(epoll_ctl(shots, EPOLL_CTL_MOD, shot, &again) == 0 && ready(shots, 4) == EPOLLIN, "armed again");
  int files[] = {first, second, third, fourth};
  for (int i = 0; i < 4; i++) {
    test_check(eventfd_write(files[i], 1) == 0 && ready(strange, 71 + i) == EPOLLIN, "entry %d", i);
    test_check(eventfd_read(files[i], &value) == 0, "read");
  }
  test_check(fcntl(700, F_GETFD) == FD_CLOEXEC, "close-on-exec");
  test_check(fcntl(702, F_GETFD) == -1 && fcntl(set, F_GETFD) == FD_CLOEXEC, "descriptors");
  errno = 0;
  test_check(add(strange, third, EPOLLIN, 0) == 0, "another number");
  test_check(epoll_ctl(strange, EPOLL_CTL_DEL, 700, NULL) == 0, "removing");
  test_check(epoll_ctl(strange, EPOLL_CTL_DEL, 700, NULL) == -1 && errno == ENOENT, "removed twice");
  for (int fd = 703; fd < 720; fd++) test_check(fcntl(fd, F_GETFD) == -1, "descriptor %d is left", fd);
  test_pass();
}
