# kmonte-unshare: net
# kmonte-shows: net/namespace
"""A veth whose other end is on the machine: it comes back, joined, and packets pass."""
import os, signal, socket, subprocess, sys

def run(command):
    return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout

name = f"kmt{os.getpid() % 100000}"
# By way of whoever started us, who lives on the machine and stays there.
starter = os.getppid()
outside = f"nsenter --net=/proc/{starter}/ns/net"
try:
    run(f"ip link add inner index 44 address 02:00:00:00:01:01 type veth peer name {name} netns {starter}")
    run("ip addr add 10.213.7.1/30 dev inner && ip link set inner up && ip link set lo up")
    run(f"{outside} ip addr add 10.213.7.2/30 dev {name} && {outside} ip link set {name} up")
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("10.213.7.1", 4444))
    udp.settimeout(5)
    import time
    time.sleep(1)
    print("READY", flush=True)
    signal.sigwait([signal.SIGTERM])
    there = run(f"{outside} ip -4 addr show dev {name}")
    assert "10.213.7.2/30" in there and "UP" in there, there
    here = run("ip addr show dev inner")
    assert here.startswith("44: inner@") and "02:00:00:00:01:01" in here and "10.213.7.1/30" in here, here
    run(f"{outside} python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b\"hello\", (\"10.213.7.1\", 4444))'")
    data, sender = udp.recvfrom(100)
    assert data == b"hello" and sender[0] == "10.213.7.2", (data, sender)
    print("PASS", flush=True)
except BaseException as error:
    print("FAIL:", repr(error), getattr(error, "stderr", ""), flush=True)
finally:
    subprocess.run(f"{outside} ip link del {name}", shell=True, capture_output=True)
