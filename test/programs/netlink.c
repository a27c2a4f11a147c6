/* A netlink socket keeps its port and its groups, and still works. */
/* kmonte-shows: socket/netlink */
#include "kmonte-test.h"
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

static void ask(int fd) {
  struct {
    struct nlmsghdr header;
    struct rtgenmsg message;
  } request = {{sizeof request, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 7, 0}, {AF_UNSPEC}};
  static char answer[65536];
  test_check(send(fd, &request, sizeof request, 0) == sizeof request, "send");
  for (;;) {
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    test_check(got > 0, "no answer");
    for (struct nlmsghdr *h = (struct nlmsghdr *)answer; NLMSG_OK(h, got); h = NLMSG_NEXT(h, got)) {
      test_check(h->nlmsg_type != NLMSG_ERROR, "an error");
      if (h->nlmsg_type == NLMSG_DONE) return;
    }
  }
}

int main(void) {
  test_begin();
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), fresh = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE), on = 1;
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE}, before, now;
  test_check(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  ask(fd);
  socklen_t length = sizeof before;
  getsockname(fd, (struct sockaddr *)&before, &length);
  test_ready_and_wait();
  getsockname(fd, (struct sockaddr *)&now, &length);
  test_check(now.nl_pid == before.nl_pid, "port %u instead of %u", now.nl_pid, before.nl_pid);
  test_check(now.nl_groups == before.nl_groups, "groups %x instead of %x", now.nl_groups, before.nl_groups);
  int is = 0;
  length = sizeof is;
  getsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &is, &length);
  test_check(is == 1, "NETLINK_EXT_ACK");
  ask(fd);
  ask(fresh);
  test_pass();
}
