"""Segments are as large after the thaw as they were before it.

kmonte-shows: socket/tcp/restore
"""

import socket

from kmonte_test import equal, listener, passed, ready_and_wait, talk, tcp_pair

# Of the loopback device's packets, half a window is what goes into one: the kernel lets nobody ask for more than this.
MOST = 32767 - 12


def segments(sock):
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)


small = listener()
small.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
ends = [*tcp_pair(), *tcp_pair("::1"), *tcp_pair(listening=small)]
for one, other in zip(ends[::2], ends[1::2]):
    talk(one, other)
before = [segments(sock) for sock in ends]
ready_and_wait()
for sock, size in zip(ends, before):
    equal(segments(sock), min(size, MOST), "size of segments")
for one, other in zip(ends[::2], ends[1::2]):
    talk(one, other)
passed()
