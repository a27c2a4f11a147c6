"""UDP and UDP-Lite: options, shut down halves, an error not told yet, a target, groups with chosen senders.

kmonte-shows: socket/multicast socket/pending-error socket/inet
"""

import errno
import select
import socket
import struct

from kmonte_test import equal, integer, passed, ready_and_wait

S, I, U, L = socket.SOL_SOCKET, socket.IPPROTO_IP, socket.IPPROTO_UDP, 136
OPTIONS = {
    "SO_BROADCAST": (S, 6, 1),
    "SO_REUSEPORT": (S, 15, 1),
    "SO_TIMESTAMPNS": (S, 35, 1),
    "SO_RXQ_OVFL": (S, 40, 1),
    "IP_PKTINFO": (I, 8, 1),
    "IP_RECVTTL": (I, 12, 1),
    "IP_RECVTOS": (I, 13, 1),
    "IP_RECVORIGDSTADDR": (I, 20, 1),
    "IP_CHECKSUM": (I, 23, 1),
    "IP_MULTICAST_TTL": (I, 33, 7),
    "IP_MULTICAST_LOOP": (I, 34, 0),
    "IP_MULTICAST_ALL": (I, 49, 0),
    "UDP_CORK": (U, 1, 1),
    "UDP_SEGMENT": (U, 103, 1200),
    "UDP_GRO": (U, 104, 1),
}
IPV6 = socket.IPPROTO_IPV6
SIX = {
    "IPV6_MULTICAST_HOPS": (IPV6, 18, 9),
    "IPV6_RECVPKTINFO": (IPV6, 49, 1),
    "IPV6_RECVHOPLIMIT": (IPV6, 51, 1),
    "IPV6_RECVRTHDR": (IPV6, 56, 1),
    "IPV6_RECVHOPOPTS": (IPV6, 53, 1),
    "IPV6_RECVDSTOPTS": (IPV6, 58, 1),
    "IPV6_DONTFRAG": (IPV6, 62, 1),
    "IPV6_TCLASS": (IPV6, 67, 0x20),
    "IPV6_FLOWINFO_SEND": (IPV6, 33, 1),
    "IPV6_RECVPATHMTU": (IPV6, 60, 1),
}
LITE = {"UDPLITE_SEND_CSCOV": (L, 10, 12), "UDPLITE_RECV_CSCOV": (L, 11, 10)}


def udp(host="127.0.0.1", protocol=0):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM, protocol)
    sock.bind((host, 0))
    sock.settimeout(5)
    return sock


def apply(sock, options):
    for level, option, value in options.values():
        sock.setsockopt(level, option, value)
    return {name: integer(sock, level, option) for name, (level, option, _) in options.items()}


def in_error(sock):
    poller = select.poll()
    poller.register(sock, 0)
    return bool(poller.poll(0) and poller.poll(0)[0][1] & select.POLLERR)


four, six = udp(), udp("::1")
seen = [apply(four, OPTIONS), apply(six, SIX)]
try:
    lite, other = udp(protocol=L), udp(protocol=L)
    seen.append(apply(lite, LITE))
    lite.connect(other.getsockname()), other.connect(lite.getsockname())
except OSError:
    lite = None
gone = udp()
lost = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
lost.connect(gone.getsockname())
gone.close()
lost.send(b"x")
assert in_error(lost), "no error"
deaf, mute = udp(), udp()
deaf.connect(mute.getsockname()), mute.connect(deaf.getsockname())
deaf.shutdown(socket.SHUT_RD), mute.shutdown(socket.SHUT_WR)
wide = udp("0.0.0.0")
wide.setsockopt(I, 8, 1)
four_name = wide.getsockname()[1]
udp().sendto(b"where", ("127.0.0.77", four_name))
chosen, refused = udp("0.0.0.0"), udp("0.0.0.0")
group, lo = socket.inet_aton("239.7.7.11"), socket.inet_aton("127.0.0.1")
source = lambda host: group + lo + socket.inet_aton(host)
chosen.setsockopt(I, 39, source("127.0.0.2"))  # IP_ADD_SOURCE_MEMBERSHIP
refused.setsockopt(I, socket.IP_ADD_MEMBERSHIP, group + lo)
refused.setsockopt(I, 38, source("127.0.0.2"))  # IP_BLOCK_SOURCE
for sock in (chosen, refused):
    sock.setsockopt(I, 49, 0)
ready_and_wait()
for sock, options, before in zip((four, six, lite), (OPTIONS, SIX, LITE), seen):
    for name, value in before.items():
        equal(integer(sock, *options[name][:2]), value, name)
if lite:
    lite.send(b"lite")
    equal(other.recv(10), b"lite", "UDP-Lite")
assert in_error(lost), "the error is gone"
equal(lost.getsockopt(S, socket.SO_ERROR), errno.ECONNREFUSED, "error")
deaf.settimeout(None)
equal(deaf.recv(10), b"", "a socket shut down for reading")
try:
    mute.send(b"x")
    raise AssertionError("sent after shutdown")
except BrokenPipeError:
    pass
data, control, _, _ = wide.recvmsg(100, 200)
equal((data, control[0][2][8:12]), (b"where", socket.inet_aton("127.0.0.77")), "IP_PKTINFO")
for sock, heard in ((chosen, b"2"), (refused, b"3")):
    port = sock.getsockname()[1]
    for host in ("127.0.0.2", "127.0.0.3"):
        speaker = udp(host)
        speaker.setsockopt(I, socket.IP_MULTICAST_IF, lo)
        speaker.sendto(host[-1:].encode(), ("239.7.7.11", port))
    equal(sock.recv(10), heard, "who was heard")
    sock.setblocking(False)
    try:
        raise AssertionError(f"heard {sock.recv(10)} too")
    except BlockingIOError:
        pass
passed()
