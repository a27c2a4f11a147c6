"""A listening socket without SO_REUSEADDR, while connections of its port are on their way out of the kernel.

kmonte-shows: socket/tcp/port
"""

import socket

from kmonte_test import FIN_WAIT2, equal, listener, passed, ready_and_wait, state, talk, tcp_pair, until

server = listener()
for _ in range(2):
    client, accepted = tcp_pair(listening=server)
    accepted.close()
    client.close()
half, accepted = tcp_pair(listening=server)
accepted.sendall(b"rest")
accepted.close()
open_half, ours = tcp_pair(listening=server)
ours.shutdown(socket.SHUT_WR)
until(lambda: state(ours) == FIN_WAIT2, "FIN_WAIT2")
ready_and_wait()
equal(server.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR), 0, "SO_REUSEADDR")
equal(half.recv(10), b"rest", "the rest")
equal(half.recv(10), b"", "the end")
half.close()
open_half.sendall(b"more")
equal(ours.recv(10), b"more", "the open half")
talk(*tcp_pair(listening=server))
passed()
