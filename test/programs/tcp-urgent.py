"""Urgent data (tcp(7)): the mark, the byte out of band, in band (SO_OOBINLINE), and a byte that was read already.

kmonte-shows: socket/tcp/urgent
"""

import fcntl
import select
import socket
import struct

from kmonte_test import equal, passed, ready_and_wait, receive, talk, tcp_pair, until

SIOCATMARK = 0x8905


def at_mark(sock):
    return struct.unpack("i", fcntl.ioctl(sock, SIOCATMARK, b"\0\0\0\0"))[0]


def urgent(sock):
    poller = select.poll()
    poller.register(sock, select.POLLPRI)
    return bool(poller.poll(0))


def make(before, after, inline=False, take=False):
    client, server = tcp_pair()
    # With a timeout, Python waits for bytes in band.
    server.settimeout(None)
    if inline:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    client.sendall(before)
    client.send(b"!", socket.MSG_OOB)
    client.sendall(after)
    until(lambda: urgent(server), "the urgent byte")
    if take:
        equal(server.recv(1, socket.MSG_OOB), b"!", "urgent byte")
    return client, server


alone = make(b"", b"")
last = make(b"before", b"")
middle = make(b"before", b"after")
inline = make(b"before", b"after", inline=True)
taken = make(b"before", b"after", take=True)
first = make(b"", b"after")
ready_and_wait()
for name, (client, server) in {"alone": alone, "last": last, "middle": middle, "first": first}.items():
    assert urgent(server), f"no urgent byte: {name}"
    equal(server.recv(1, socket.MSG_OOB), b"!", "urgent byte")
equal(server.recv(5), b"after", "behind a first byte")
equal(at_mark(alone[1]), 1, "mark of a byte alone")
equal(last[1].recv(100), b"before", "before the last byte")
equal(at_mark(last[1]), 1, "mark of the last byte")
equal(middle[1].recv(100), b"before", "before the mark")
equal(at_mark(middle[1]), 1, "mark")
equal(middle[1].recv(100), b"after", "behind the mark")
equal(inline[1].recv(100), b"before", "before the mark in band")
equal(at_mark(inline[1]), 1, "mark in band")
equal(receive(inline[1], 6), b"!after", "in band")
assert not urgent(taken[1]), "a byte that was taken is there again"
equal(taken[1].recv(100), b"before", "before a byte that was taken")
equal(taken[1].recv(100), b"after", "behind a byte that was taken")
for client, server in (alone, last, middle, inline, taken, first):
    server.settimeout(10)
    talk(client, server)
passed()
