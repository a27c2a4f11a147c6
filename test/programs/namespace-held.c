/* kmonte-container: troot */
/* kmonte-shows: net/namespace, mount/namespace, namespace/file */
/* Namespaces that no process lives in: kept by a descriptor, by a mount and by sockets; veths lead from one to another. */
#include "mounts.h"
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static void run(const char *command) {
  test_check(system(command) == 0, "%s", command);
}

static int ns(const char *type) {
  char path[50];
  snprintf(path, sizeof path, "/proc/self/ns/%s", type);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  test_check(fd >= 0, "%s", path);
  return fd;
}

static void same(int a, int b, int wanted) {
  struct stat one, other;
  test_check(fstat(a, &one) == 0 && fstat(b, &other) == 0, "fstat");
  test_check((one.st_ino == other.st_ino) == wanted, "namespaces are %s", wanted ? "different" : "the same");
}

static void name_is(int fd, const char *name) {
  char found[100];
  test_check(setns(fd, CLONE_NEWUTS) == 0 && gethostname(found, sizeof found) == 0, "setns");
  test_check(strcmp(found, name) == 0, "the name is %s", found);
}

int main(void) {
  test_begin();
  signal(SIGCHLD, SIG_DFL);
  int home_uts = ns("uts"), home_net = ns("net"), home_ipc = ns("ipc");
  test_check(unshare(CLONE_NEWUTS) == 0 && sethostname("held", 4) == 0, "uts");
  int uts = ns("uts");
  test_check(setns(home_uts, 0) == 0, "setns");
  /* One behind a mount, as ip netns add has it, and one behind a descriptor and a socket; veths between all three. */
  test_check(unshare(CLONE_NEWNET) == 0, "net");
  int net = ns("net");
  run("ip link set lo up; ip link add name ifb7 type ifb");
  int inside = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(999), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  test_check(bind(inside, (struct sockaddr *)&address, sizeof address) == 0, "bind");
  test_check(setns(home_net, 0) == 0, "setns");
  make_dir("/run/netns");
  run("ip netns add named; ip -n named link set lo up");
  char command[300];
  snprintf(command, sizeof command, "ip link add near index 70 type veth peer name far index 70 netns /proc/%d/fd/%d", getpid(), net);
  run(command);
  run("ip link add one index 71 type veth peer name two index 80 netns named; ip -n named addr add 10.9.8.1/24 dev two; "
      "ip -n named link set two up; ip link set one up; ip addr add 10.9.8.2/24 dev one; "
      "ip -n named link add stacked link two type macvlan mode bridge; ip -n named link add vx type vxlan id 5 dstport 4789 remote 10.9.8.7");
  test_check(unshare(CLONE_NEWIPC) == 0, "ipc");
  pid_t child = fork();
  if (child == 0) {
    test_wait();
    _exit(0);
  }
  test_check(setns(home_ipc, 0) == 0, "setns");
  close(home_ipc), close(home_uts);
  test_ready_and_wait();
  home_uts = ns("uts");
  same(uts, home_uts, 0), same(net, home_net, 0), same(net, inside, 0);
  int now = ns("net");
  same(now, home_net, 1);
  name_is(uts, "held");
  test_check(setns(home_uts, 0) == 0, "setns");
  int socket_net = ioctl(inside, 0x894c /* SIOCGSKNS */, 0);
  test_check(socket_net >= 0, "SIOCGSKNS");
  same(socket_net, net, 1);
  run("ip -n named link show stacked | grep -q stacked@two && ip -n named -d link show vx | grep -q 'vxlan id 5.*10.9.8.7'");
  run("ip link show one | grep -q '71: one@' && ip -n named link show two | grep -q '80: two@' && ip link show near | grep -q '70: near@'");
  run("ip netns list | grep -q named && ping -c1 -W2 10.9.8.1 >/dev/null 2>&1 || ip neigh get 10.9.8.1 dev one >/dev/null 2>&1 || "
      "python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((\"10.9.8.1\", 9)); s.send(b\"x\"); s.settimeout(2)\ntry: s.recv(1)\nexcept ConnectionRefusedError: pass'");
  test_check(setns(net, 0) == 0, "setns");
  run("ip link show ifb7 >/dev/null && ip link show far | grep -q '70: far@'");
  kill(child, SIGTERM);
  int status;
  test_check(waitpid(child, &status, 0) == child && status == 0, "child");
  test_pass();
}
