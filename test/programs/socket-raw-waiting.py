"""An echo request that a raw socket has not read yet: received again, it would be answered again.

kmonte-refuses: RAW_PACKETS
kmonte-shows: socket/raw
"""

import socket
import struct

from kmonte_test import equal, passed, ready_and_wait

ping = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
ping.setsockopt(255, 1, struct.pack("I", ~(1 << 8) & 0xFFFFFFFF))
ping.sendto(struct.pack("!BBHHH", 8, 0, ~(0x800 + 1) & 0xFFFF, 0, 1), ("127.0.0.1", 0))
ready_and_wait()
ping.setblocking(False)
equal(ping.recv(100)[20], 8, "the request")
passed()
