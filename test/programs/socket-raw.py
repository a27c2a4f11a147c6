"""Raw sockets: addresses, filters, options, and packets of protocols that the kernel leaves alone.

kmonte-shows: socket/raw
"""

import socket
import struct

from kmonte_test import equal, passed, ready_and_wait

EXPERIMENT = 253  # RFC 3692
SOL_RAW, ICMP_FILTER, IPV6_CHECKSUM = 255, 1, 7


def raw(family, protocol, host=None):
    sock = socket.socket(family, socket.SOCK_RAW, protocol)
    if host:
        sock.bind((host, 0))
    sock.settimeout(5)
    return sock


def echo(number):
    header = struct.pack("!BBHHH", 8, 0, 0, 77, number)
    total = sum(struct.unpack("!4H", header))
    return header[:2] + struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + header[4:]


four, six = raw(socket.AF_INET, EXPERIMENT, "127.0.0.5"), raw(socket.AF_INET6, EXPERIMENT, "::1")
twin = raw(socket.AF_INET, EXPERIMENT)
sender = raw(socket.AF_INET, EXPERIMENT)
sender.connect(("127.0.0.5", 0))
sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 9)
ping = raw(socket.AF_INET, socket.IPPROTO_ICMP)
ping.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("I", ~(1 << 0) & 0xFFFFFFFF))
neighbour = raw(socket.AF_INET6, socket.IPPROTO_ICMPV6)
neighbour.setsockopt(socket.IPPROTO_ICMPV6, 1, b"\x55" * 32)
header = raw(socket.AF_INET, socket.IPPROTO_RAW)
own = raw(socket.AF_INET, EXPERIMENT, "127.0.0.9")
own.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
sums = raw(socket.AF_INET6, 254)
sums.setsockopt(SOL_RAW, IPV6_CHECKSUM, 4)
sender.send(b"one")
raw(socket.AF_INET6, EXPERIMENT).sendto(b"six", ("::1", 0))
ready_and_wait()
for sock in (four, twin):
    packet, peer = sock.recvfrom(100)
    equal((packet[20:], packet[8], peer[0]), (b"one", 9, "127.0.0.1"), "packet")
equal(six.recvfrom(100)[0], b"six", "packet of IPv6")
for sock in (four, six, twin):
    sock.setblocking(False)
    try:
        raise AssertionError(f"more: {sock.recv(100)}")
    except BlockingIOError:
        sock.settimeout(5)
sender.send(b"three")
packet = four.recv(100)
equal((packet[20:], packet[8]), (b"three", 9), "a connected socket")
equal(four.getsockname()[0], "127.0.0.5", "name")
equal(ping.getsockopt(SOL_RAW, ICMP_FILTER, 4), struct.pack("I", ~1 & 0xFFFFFFFF), "ICMP_FILTER")
ping.sendto(echo(5), ("127.0.0.1", 0))
equal(ping.recv(100)[20], 0, "type of the reply")
equal(neighbour.getsockopt(socket.IPPROTO_ICMPV6, 1, 32), b"\x55" * 32, "ICMP6_FILTER")
equal(own.getsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL), 1, "IP_HDRINCL")
equal(sums.getsockopt(SOL_RAW, IPV6_CHECKSUM), 4, "IPV6_CHECKSUM")
equal(header.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL), socket.IPPROTO_RAW, "protocol")
passed()
