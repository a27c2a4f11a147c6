"""What self-checking programs in Python share: see kmonte-test.h."""

import signal
import socket
import struct
import sys
import time
import traceback

sys.dont_write_bytecode = True
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING = range(1, 12)


def fail(kind, error, trace):
    traceback.print_exception(kind, error, trace)
    print(f"FAIL: {kind.__name__} {error}", flush=True)


sys.excepthook = fail


def ready_and_wait():
    """Everything is set up: freeze me now. Sleeps until the test says that the program has been thawed."""
    print("READY", flush=True)
    signal.sigwait({signal.SIGTERM})


def passed():
    print("PASS", flush=True)


def equal(now, before, what):
    assert now == before, f"{what}: {now!r}, it was {before!r}"


def listener(host="127.0.0.1", backlog=8, reuse=False, family=None):
    made = socket.socket(family or (socket.AF_INET6 if ":" in host else socket.AF_INET))
    if reuse:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, 0))
    made.listen(backlog)
    return made


def tcp_pair(host="127.0.0.1", listening=None):
    """A client and the server's end; the listening socket is closed unless it is given."""
    server = listening or listener(host)
    client = socket.create_connection(server.getsockname()[:2])
    accepted, _ = server.accept()
    if not listening:
        server.close()
    for end in (client, accepted):
        end.settimeout(10)
    return client, accepted


def state(sock):
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[0]


def until(condition, what):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.002)


def talk(one, other):
    """Bytes both ways, with nothing else in between."""
    for source, sink, text in ((one, other, b"ping"), (other, one, b"pong")):
        source.sendall(text)
        equal(receive(sink, 4), text, "what arrived")


def receive(sock, count):
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        assert part, f"the end after {len(data)} of {count} bytes"
        data += part
    return data


def stuff(sock):
    """Writes until nothing more fits."""
    sock.setblocking(False)
    total = 0
    try:
        while True:
            total += sock.send(pattern(total, 65536))
    except BlockingIOError:
        sock.settimeout(10)
    return total


def pattern(start, count):
    return (TILE * (count // len(TILE) + 2))[start % len(TILE) :][:count]


TILE = bytes((i * 31 + i // 251) & 255 for i in range(65521))


def drain(sock, count):
    data = receive(sock, count)
    assert data == pattern(0, count), "other bytes"


def integer(sock, level, name):
    raw = sock.getsockopt(level, name, 4)
    return struct.unpack("i", raw)[0] if len(raw) == 4 else raw[0]
