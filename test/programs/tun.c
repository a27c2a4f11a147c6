/* Network devices that the program plays: opened only, tun, tap, several queues, kept by themselves; with addresses. */
/* kmonte-shows: net/tun */
#include "kmonte-test.h"
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

static char names[3][IFNAMSIZ];

static int attached(const char *name, int flags) {
  struct ifreq request = {.ifr_flags = flags};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  test_check(fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0, "attach to %s", name);
  return fd;
}

static int flags_of(int fd, char *name) {
  struct ifreq request = {0};
  if (ioctl(fd, TUNGETIFF, &request) != 0) return -1;
  strcpy(name, request.ifr_name);
  return (unsigned short)request.ifr_flags;
}

int main(void) {
  test_begin();
  for (int i = 0; i < 3; i++) snprintf(names[i], IFNAMSIZ, "km%d-%c", getpid() % 1000000, 'a' + i);
  int opened = open("/dev/net/tun", O_RDWR), tun = attached(names[0], IFF_TUN | IFF_NO_PI);
  int tap = attached(names[1], IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR), second = attached(names[1], IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR);
  int kept = attached(names[2], IFF_TUN), size = 12, buffer = 50000;
  test_check(ioctl(kept, TUNSETPERSIST, 1) == 0 && ioctl(tap, TUNSETVNETHDRSZ, &size) == 0 && ioctl(tun, TUNSETSNDBUF, &buffer) == 0, "settings");
  char command[300];
  snprintf(command, sizeof command, "ip addr add 10.123.45.1/24 dev %s && ip link set %s up mtu 1234 && ip link set %s address 02:00:00:00:12:34", names[0], names[0], names[1]);
  test_check(system(command) == 0, "ip");
  int fds[] = {opened, tun, tap, second, kept}, before[5];
  unsigned index = if_nametoindex(names[0]);
  char name[IFNAMSIZ];
  for (int i = 0; i < 5; i++) before[i] = flags_of(fds[i], name);
  test_ready_and_wait();
  for (int i = 0; i < 5; i++) test_check(flags_of(fds[i], name) == before[i], "flags of %d: %x were %x", i, flags_of(fds[i], name), before[i]);
  test_check(flags_of(tun, name) > 0 && strcmp(name, names[0]) == 0 && if_nametoindex(names[0]) == index, "%s", name);
  int now = 0;
  test_check(ioctl(tap, TUNGETVNETHDRSZ, &now) == 0 && now == 12 && ioctl(tun, TUNGETSNDBUF, &now) == 0 && now == 50000, "sizes: %d", now);
  snprintf(command, sizeof command, "ip addr show dev %s | grep -q 10.123.45.1/24 && ip link show dev %s | grep -q 'mtu 1234' && ip link show dev %s | grep -q 02:00:00:00:12:34", names[0], names[0], names[1]);
  test_check(system(command) == 0, "settings of the devices");
  char packet[2000];
  while (read(tun, packet, sizeof packet) > 0) {}
  snprintf(command, sizeof command, "ping -c1 -W1 -I %s 10.123.45.2 >/dev/null 2>&1 || true", names[0]);
  test_check(system("command -v ping >/dev/null") != 0 || (system(command) == 0 && read(tun, packet, sizeof packet) > 0), "packets");
  test_check(ioctl(kept, TUNSETPERSIST, 0) == 0, "the one that was kept");
  test_pass();
}
