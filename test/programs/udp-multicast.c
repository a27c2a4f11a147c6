/* A UDP socket keeps the multicast groups that it has joined, and its filter. */
/* kmonte-shows: socket/multicast socket/filter */
#include "kmonte-test.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

int main(void) {
  test_begin();
  int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_ANY)}};
  socklen_t length = sizeof address;
  test_check(bind(receiver, (struct sockaddr *)&address, sizeof address) == 0, "bind");
  getsockname(receiver, (struct sockaddr *)&address, &length);
  struct ip_mreqn group = {.imr_multiaddr = {inet_addr("239.7.7.9")}, .imr_address = {htonl(INADDR_LOOPBACK)}, .imr_ifindex = 1};
  test_check(setsockopt(receiver, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) == 0, "join");
  int off = 0;
  setsockopt(receiver, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof off);
  test_check(setsockopt(sender, IPPROTO_IP, IP_MULTICAST_IF, &group, sizeof group) == 0, "interface");
  /* Takes datagrams of which the first byte is not 'n' (the filter sees the UDP header first). */
  struct sock_filter code[] = {{BPF_LD | BPF_B | BPF_ABS, 0, 0, 8}, {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 'n'}, {BPF_RET, 0, 0, 0}, {BPF_RET, 0, 0, 65535}};
  struct sock_fprog program = {4, code};
  test_check(setsockopt(receiver, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0, "filter");
  address.sin_addr.s_addr = inet_addr("239.7.7.9");
  test_ready_and_wait();
  struct timeval patience = {5, 0};
  setsockopt(receiver, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  char data[8] = "";
  test_check(sendto(sender, "no", 2, 0, (struct sockaddr *)&address, sizeof address) == 2, "send");
  test_check(sendto(sender, "yes", 3, 0, (struct sockaddr *)&address, sizeof address) == 3, "send");
  test_check(recv(receiver, data, sizeof data, 0) == 3 && memcmp(data, "yes", 3) == 0, "got %s", data);
  test_pass();
}
