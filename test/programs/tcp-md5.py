"""Signatures of segments (tcp(7), TCP_MD5SIG): the keys of a listening socket, a client and an accepted connection.

kmonte-shows: socket/tcp/md5
"""

import socket
import struct

from kmonte_test import listener, passed, ready_and_wait, talk

TCP_MD5SIG, TCP_MD5SIG_EXT = 14, 32


def sign(sock, host, key, prefix=None):
    address = struct.pack("=H2x4s120x", socket.AF_INET, socket.inet_aton(host))
    flags = 0 if prefix is None else 1
    body = address + struct.pack("=BBHi80s", flags, prefix or 0, len(key), 0, key)
    sock.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG if prefix is None else TCP_MD5SIG_EXT, body)


def connect(key):
    sock = socket.socket()
    sign(sock, "127.0.0.1", key)
    sock.settimeout(0.7)
    sock.connect(server.getsockname())
    sock.settimeout(10)
    return sock


server = listener()
sign(server, "127.0.0.1", b"first")
sign(server, "10.1.2.0", b"network", 24)
client = connect(b"first")
accepted, _ = server.accept()
accepted.settimeout(10)
talk(client, accepted)
ready_and_wait()
talk(client, accepted)
again = connect(b"first")
other, _ = server.accept()
other.settimeout(10)
talk(again, other)
try:
    connect(b"second")
    raise AssertionError("any key does")
except TimeoutError:
    pass
passed()
