# kmonte-unshare: net,pid
# kmonte-shows: net/namespace
"""A network namespace of its own: devices, addresses, routes, rules, settings, packet filters, and sockets inside."""
import signal, socket, subprocess, sys, json

told = False
def on_term(*_):
    global told
    told = True
signal.signal(signal.SIGTERM, on_term)

def run(command, **more):
    return subprocess.run(command, shell=True, check=True, capture_output=True, text=True, **more).stdout

def check(condition, what):
    if not condition:
        print("FAIL:", what, flush=True)
        sys.exit(1)

for command in [
    "ip link set lo up",
    "ip link add left index 20 type veth peer name right index 30",
    "ip link add br0 address 02:00:00:00:00:07 type bridge stp_state 1",
    "ip link set left master br0 up", "ip link set right mtu 1400 up", "ip link set br0 up",
    "ip addr add 10.7.0.1/24 dev right", "ip addr add fd07::1/64 dev right nodad", "ip addr add 10.9.9.9/32 dev lo",
    "ip route add 10.8.0.0/16 via 10.7.0.2 metric 5", "ip route add default via 10.7.0.254 table 77",
    "ip rule add from 10.7.0.1 lookup 77 pref 500", "ip neigh add 10.7.0.2 lladdr 02:00:00:00:00:09 dev right",
    "ip link set right alias seen group 5 multicast off", "ip link property add dev right altname other",
    "ip link set left type bridge_slave hairpin on cost 7 isolated on",
    "ip route add 10.11.0.0/16 nexthop via 10.7.0.2 weight 2 dev right nexthop via 10.7.0.3 dev right",
    "ip nexthop add id 5 via 10.7.0.2 dev right", "ip route add 10.12.0.0/16 nhid 5",
    "ip tuntap add dev kept mode tap user 1000 group 1001", "ip neigh add proxy 10.7.0.9 dev right", "ip rule add iif later lookup 77 pref 501",
    "bridge fdb add 02:00:00:00:09:09 dev left master static", "bridge fdb add 02:00:00:00:09:0a dev left master permanent",
    "bridge mdb add dev br0 port left grp 239.1.1.1 permanent",
    "sysctl -w net.ipv4.ip_forward=1 || echo 1 > /proc/sys/net/ipv4/ip_forward",
]:
    run(command)
run("nft -f -", input="table inet mine {\n chain incoming {\n type filter hook input priority 0; policy accept;\n tcp dport 7 drop\n }\n}\n")

def port():
    left, = json.loads(run("ip -j -d link show left"))
    return [left["linkinfo"]["info_slave_data"][k] for k in ("hairpin", "cost", "isolated", "learning", "priority")]

def look():
    links = [{k: l.get(k) for k in ("ifindex", "ifname", "mtu", "address", "master", "flags", "ifalias", "altnames", "group")} for l in json.loads(run("ip -j link"))]
    addresses = [sorted((a["local"], a["prefixlen"]) for a in l["addr_info"]) for l in json.loads(run("ip -j addr"))]
    clean = lambda text: sorted(line.strip() for line in text.splitlines())
    return links, addresses, clean(run("ip route show table all")), clean(run("ip rule")), \
        clean(run("ip neigh show proxy")), clean(run("ip nexthop")), run("ip tuntap"), port(), run("ip neigh show nud permanent"), \
        sorted(l for l in run("bridge fdb show").splitlines() if "09:0" in l), [l for l in run("bridge mdb show").splitlines() if "permanent" in l], \
        run("nft list ruleset"), open("/proc/sys/net/ipv4/ip_forward").read()

listener = socket.create_server(("10.9.9.9", 7777))
client = socket.create_connection(("10.9.9.9", 7777))
server, _ = listener.accept()
client.sendall(b"before")
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("10.7.0.1", 5))
abstract = socket.socket(socket.AF_UNIX)
abstract.bind("\0kmonte-test")
abstract.listen()
import time
time.sleep(3)  # Until the bridge and the link-local addresses have settled.
before = look()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("READY", flush=True)
signal.sigwait([signal.SIGTERM])
after = look()
for was, now in zip(before, after):
    check(was == now, f"{was}\nis now\n{now}")
client.sendall(b" and after")

got = b""
while len(got) < 16:
    got += server.recv(100)
check(got == b"before and after", got)
again = socket.create_connection(("10.9.9.9", 7777))
check(udp.getsockname() == ("10.7.0.1", 5), udp.getsockname())
near = socket.socket(socket.AF_UNIX)
near.connect("\0kmonte-test")
print("PASS", flush=True)
