"""TCP sockets with an error that the program has not been told yet, and with one that it has.

kmonte-shows: socket/pending-error
"""

import errno
import select
import socket
import struct

from kmonte_test import equal, listener, passed, ready_and_wait, tcp_pair, until


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def in_error(sock):
    poller = select.poll()
    poller.register(sock, 0)
    return any(event & select.POLLERR for _, event in poller.poll(0))


def refused():
    gone = listener()
    name = gone.getsockname()
    gone.close()
    sock = socket.socket()
    sock.setblocking(False)
    equal(sock.connect_ex(name), errno.EINPROGRESS, "connect")
    until(lambda: in_error(sock), "the error")
    return sock


def lost(told):
    client, server = tcp_pair()
    reset(server)
    until(lambda: in_error(client), "the reset")
    if told:
        equal(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), errno.ECONNRESET, "SO_ERROR")
    return client


untold, told, dialled = lost(False), lost(True), refused()
read = lost(False)
ready_and_wait()
assert in_error(untold) and in_error(dialled) and not in_error(told), "poll"
equal(untold.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), errno.ECONNRESET, "reset")
equal(dialled.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), errno.ECONNREFUSED, "refused")
equal(told.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0, "told")
equal(told.recv(1), b"", "the end")
try:
    read.recv(1)
    raise AssertionError("no error")
except ConnectionResetError:
    pass
passed()
