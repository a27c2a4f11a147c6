"""Multipath TCP: the subflows of a connection live in the kernel and cannot be made again.

kmonte-refuses: SOCKET_PROTOCOL
"""

import socket

from kmonte_test import equal, passed, ready_and_wait, talk

IPPROTO_MPTCP = 262
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
server.bind(("127.0.0.1", 0))
server.listen(1)
client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
client.connect(server.getsockname())
accepted, _ = server.accept()
ready_and_wait()
talk(client, accepted)
equal(client.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL), IPPROTO_MPTCP, "protocol")
passed()
