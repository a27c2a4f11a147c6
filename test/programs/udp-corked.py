"""A datagram that is only begun (MSG_MORE): nobody can read what the kernel has gathered.

kmonte-refuses: UDP_CORK
kmonte-shows: socket/inet
"""

import socket

from kmonte_test import equal, passed, ready_and_wait

receiver, sender = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
receiver.bind(("127.0.0.1", 0))
receiver.settimeout(5)
sender.connect(receiver.getsockname())
sender.send(b"one ", socket.MSG_MORE)
ready_and_wait()
sender.send(b"two")
equal(receiver.recv(20), b"one two", "the datagram")
passed()
