"""Sockets for echo requests (icmp(7)): the identifier, and a reply that was not read yet.

kmonte-unshare: net
kmonte-shows: socket/udp-queue socket/inet
"""

import socket
import struct

from kmonte_test import equal, passed, ready_and_wait

with open("/proc/sys/net/ipv4/ping_group_range", "w") as file:
    file.write("0 0")


def ping(sock, host, number):
    sock.sendto(struct.pack("!BBHHH", 128 if ":" in host else 8, 0, 0, 0, number) + b"text", (host, 0))


four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6)
for sock, host in ((four, "127.0.0.1"), (six, "::1")):
    sock.settimeout(5)
    ping(sock, host, 1)
names = [four.getsockname(), six.getsockname()]
ready_and_wait()
equal([four.getsockname(), six.getsockname()], names, "identifiers")
for sock, host in ((four, "127.0.0.1"), (six, "::1")):
    ping(sock, host, 2)
    for number in (1, 2):
        reply, peer = sock.recvfrom(100)[:2]
        equal((struct.unpack("!HH", reply[4:8]), reply[8:]), ((sock.getsockname()[1], number), b"text"), "reply")
        equal(peer[0], host, "sender")
passed()
