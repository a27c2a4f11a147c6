"""Registers the program 400000 with rpcbind, as local services do (RFC 1833, PMAPPROC_SET over UDP)."""

import socket
import struct

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(10)
header = struct.pack(">IIIIIIIIII", 1, 0, 2, 100000, 2, 1, 0, 0, 0, 0)
sock.sendto(header + struct.pack(">IIII", 400000, 1, 6, 7777), ("127.0.0.1", 111))
assert sock.recv(100)[-4:] == b"\x00\x00\x00\x01"
