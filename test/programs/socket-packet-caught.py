"""A packet socket that has caught something which nobody has read.

kmonte-refuses: PACKETS_CAUGHT
"""

import socket

from kmonte_test import equal, passed, ready_and_wait

EXPERIMENT = 0x88B5  # IEEE 802, local experiments
ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(EXPERIMENT))
ear.bind(("lo", EXPERIMENT))
mouth = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
for word in (b"one", b"two"):
    mouth.sendto(word, ("lo", EXPERIMENT, 0, 0, b"\0\0\0\0\0\0"))
ear.settimeout(5)
equal(ear.recv(100), b"one", "the first packet")
ready_and_wait()
equal(ear.recv(100), b"two", "the second packet")
passed()
