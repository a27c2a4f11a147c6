"""amqp.py HOST PORT: a client of RabbitMQ (AMQP 0-9-1) over one connection. "put TEXT" adds to a durable queue, "get" takes the
oldest message from it and answers with it."""

import socket
import struct
import sys

sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sock.settimeout(50)
stream = sock.makefile("rb")


def short(text):
    return bytes([len(text)]) + text


def long(text):
    return struct.pack(">I", len(text)) + text


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def call(channel, klass, method, arguments=b""):
    sock.sendall(frame(1, channel, struct.pack(">HH", klass, method) + arguments))


def read():
    kind, _, length = struct.unpack(">BHI", stream.read(7))
    payload = stream.read(length)
    assert stream.read(1) == b"\xce"
    return kind, payload


def expect(klass, *methods):
    kind, payload = read()
    found = struct.unpack(">HH", payload[:4])
    assert kind == 1 and found[0] == klass and found[1] in methods, (kind, payload)
    return found[1], payload[4:]


def declare():
    # durable
    call(1, 50, 10, struct.pack(">H", 0) + short(b"lab") + b"\x02" + long(b""))
    expect(50, 11)


sock.sendall(b"AMQP\x00\x00\x09\x01")
expect(10, 10)
call(0, 10, 11, long(b"") + short(b"PLAIN") + long(b"\x00lab\x00lab") + short(b"en_US"))
_, tune = expect(10, 30)
# No heartbeats: TCP alone says whether the other end is there.
call(0, 10, 31, tune[:6] + struct.pack(">H", 0))
call(0, 10, 40, short(b"/") + short(b"") + b"\x00")
expect(10, 41)
call(1, 20, 10, short(b""))
expect(20, 11)
declare()
for line in sys.stdin:
    word, _, text = line.strip().partition(" ")
    if word == "put":
        body = text.encode()
        call(1, 60, 40, struct.pack(">H", 0) + short(b"") + short(b"lab") + b"\x00")
        # persistent
        sock.sendall(frame(2, 1, struct.pack(">HHQHB", 60, 0, len(body), 0x1000, 2)) + frame(3, 1, body))
        # What comes after it is answered when it has been taken.
        declare()
        print("taken", flush=True)
    else:
        call(1, 60, 70, struct.pack(">H", 0) + short(b"lab") + b"\x01")
        method, _ = expect(60, 71, 72)
        if method == 72:
            print("empty", flush=True)
            continue
        read()
        print(read()[1].decode(), flush=True)
