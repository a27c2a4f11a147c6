/* Packet sockets: of each type, bound to a device, with rings that are mapped, memberships, a filter, a group. */
/* kmonte-shows: socket/packet socket/packet-ring */
#include "kmonte-test.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>

static struct sockaddr_ll name_of(int fd) {
  struct sockaddr_ll name = {0};
  socklen_t length = sizeof name;
  test_check(getsockname(fd, (void *)&name, &length) == 0, "getsockname");
  return name;
}

static int option(int fd, int which) {
  int value = -1;
  socklen_t length = sizeof value;
  test_check(getsockopt(fd, SOL_PACKET, which, &value, &length) == 0, "option %d", which);
  return value;
}

int main(void) {
  test_begin();
  int lo = if_nametoindex("lo"), on = 1, version = TPACKET_V2;
  int idle = socket(AF_PACKET, SOCK_RAW, 0), bound = socket(AF_PACKET, SOCK_DGRAM, 0), ring = socket(AF_PACKET, SOCK_RAW, 0), old = socket(AF_PACKET, SOCK_PACKET, 0);
  test_check(idle >= 0 && bound >= 0 && ring >= 0, "socket");
  struct sock_filter nothing = {BPF_RET | BPF_K, 0, 0, 0};
  struct sock_fprog program = {1, &nothing};
  test_check(setsockopt(bound, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0, "filter");
  test_check(setsockopt(bound, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) == 0, "auxdata");
  struct sockaddr_ll name = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = lo};
  test_check(bind(bound, (void *)&name, sizeof name) == 0, "bind");
  struct packet_mreq member = {.mr_ifindex = lo, .mr_type = PACKET_MR_ALLMULTI};
  test_check(setsockopt(bound, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &member, sizeof member) == 0, "membership");
  struct tpacket_req request = {4096, 4, 2048, 8};
  test_check(setsockopt(ring, SOL_PACKET, PACKET_VERSION, &version, sizeof version) == 0, "version");
  test_check(setsockopt(ring, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) == 0 && setsockopt(ring, SOL_PACKET, PACKET_TX_RING, &request, sizeof request) == 0, "rings");
  char *map = mmap(NULL, 2 * 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
  test_check(map != MAP_FAILED, "mmap");
  int fanout = 77 | (PACKET_FANOUT_HASH << 16);
  test_check(setsockopt(bound, SOL_PACKET, PACKET_FANOUT, &fanout, sizeof fanout) == 0, "fanout");
  fanout = option(bound, PACKET_FANOUT);
  test_ready_and_wait();
  test_check(name_of(bound).sll_protocol == htons(ETH_P_IP) && name_of(bound).sll_ifindex == lo && name_of(idle).sll_protocol == 0, "names");
  test_check(option(bound, PACKET_AUXDATA) == 1 && option(ring, PACKET_VERSION) == TPACKET_V2 && option(bound, PACKET_FANOUT) == fanout, "options");
  test_check(setsockopt(bound, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &member, sizeof member) == 0, "membership");
  /* The ring works: what this socket sends is caught by itself. */
  name = (struct sockaddr_ll){.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5), .sll_ifindex = lo};
  test_check(bind(ring, (void *)&name, sizeof name) == 0, "bind");
  struct tpacket2_hdr *header = (void *)map;
  test_check(header->tp_status == TP_STATUS_KERNEL, "status");
  int sender = socket(AF_PACKET, SOCK_RAW, 0);
  char frame[60] = {0};
  frame[12] = 0x88, frame[13] = 0xb5, frame[14] = 'x';
  if (sendto(sender, frame, sizeof frame, 0, (void *)&name, sizeof name) == sizeof frame) {
    for (int i = 0; i < 100 && !(header->tp_status & TP_STATUS_USER); i++) usleep(5000);
    test_check((header->tp_status & TP_STATUS_USER) && map[header->tp_mac + 14] == 'x', "the ring: %x", header->tp_status);
  }
  (void)old;
  test_pass();
}
