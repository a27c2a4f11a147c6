/* Epoll sets in epoll sets, exclusive waits, one-shot entries that fired, duplicates of closed numbers, thousands of entries, pending edges. */
/* kmonte-shows: event/epoll */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/ioctl.h>
#define MANY 400
#define ioctl_set_params(fd, p) ioctl(fd, 0x40088a01, p)
#define ioctl_get_params(fd, p) ioctl(fd, 0x80088a02, p)

static void add(int set, int fd, unsigned events, unsigned long long data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  test_check(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0, "add %d", fd);
}

static int waited(int set, struct epoll_event *events, int most) { return epoll_wait(set, events, most, 0); }

int main(void) {
  test_begin();
  struct rlimit limit = {4096, 4096};
  setrlimit(RLIMIT_NOFILE, &limit);
  int outer = epoll_create1(0), middle = epoll_create1(EPOLL_CLOEXEC), inner = epoll_create1(0);
  int counter = eventfd(0, EFD_NONBLOCK), edge = eventfd(1, 0), pending_edge = eventfd(1, 0), once = eventfd(1, 0), armed = eventfd(0, 0), exclusive = eventfd(0, 0);
  add(inner, counter, EPOLLIN, 0x1122334455667788), add(middle, inner, EPOLLIN, 2), add(outer, middle, EPOLLIN | EPOLLET, 3);
  int set = epoll_create1(0);
  struct epoll_event events[16];
  add(set, edge, EPOLLIN | EPOLLET, 10), add(set, once, EPOLLIN | EPOLLONESHOT, 12), add(set, armed, EPOLLIN | EPOLLONESHOT, 13);
  add(set, exclusive, EPOLLIN | EPOLLEXCLUSIVE, 14);
  test_check(waited(set, events, 16) == 2, "edge and once");
  int edges = epoll_create1(0);
  add(edges, pending_edge, EPOLLIN | EPOLLET, 20);
  int dup_set = epoll_create1(0), first = eventfd(0, 0), second = dup(first);
  add(dup_set, first, EPOLLIN, 30);
  close(first);
  int reused = eventfd(0, 0);
  test_check(reused == first, "the number");
  add(dup_set, reused, EPOLLIN, 31);
  int many = epoll_create1(0), one = eventfd(0, 0);
  for (int i = 0; i < MANY; i++) add(many, fcntl(one, F_DUPFD, 100), EPOLLIN, i);
  struct { unsigned usecs; unsigned short budget; unsigned char prefer, pad; } params = {64, 8, 0, 0}, now = {0};
  int busy = ioctl_set_params(set, &params);
  test_ready_and_wait();
  test_check(waited(outer, events, 16) == 0 && waited(set, events, 16) == 0, "events from nowhere");
  unsigned long long one_more = 1;
  test_check(write(counter, &one_more, 8) == 8 && waited(outer, events, 16) == 1 && events[0].data.u64 == 3, "nested");
  test_check(waited(middle, events, 16) == 1 && waited(inner, events, 16) == 1 && events[0].data.u64 == 0x1122334455667788, "inner");
  test_check(waited(edges, events, 16) == 1 && events[0].data.u64 == 20 && waited(edges, events, 16) == 0, "the pending edge");
  test_check(write(armed, &one_more, 8) == 8 && write(edge, &one_more, 8) == 8 && write(exclusive, &one_more, 8) == 8, "write");
  test_check(waited(set, events, 16) == 3 && waited(set, events, 16) == 1 && events[0].data.u64 == 14, "edge, one-shot, exclusive");
  struct epoll_event again = {.events = EPOLLIN, .data.u64 = 15};
  test_check(epoll_ctl(set, EPOLL_CTL_MOD, once, &again) == 0 && waited(set, events, 16) == 2, "armed again");
  test_check(write(second, &one_more, 8) == 8 && waited(dup_set, events, 16) == 1 && events[0].data.u64 == 30, "the closed number");
  test_check(write(reused, &one_more, 8) == 8 && waited(dup_set, events, 16) == 2, "the number that was used again");
  test_check(write(one, &one_more, 8) == 8, "many");
  static struct epoll_event all[MANY];
  test_check(waited(many, all, MANY) == MANY, "many");
  if (busy == 0) test_check(ioctl_get_params(set, &now) == 0 && now.usecs == 64 && now.budget == 8, "busy polling: %u %u", now.usecs, now.budget);
  test_pass();
}
