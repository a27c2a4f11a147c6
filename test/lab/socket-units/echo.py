"""A service with sockets of a socket unit: answers each line with its own id, and the word "datagrams" with all that came."""

import os
import selectors
import socket

SOCKETS = int(os.environ["LISTEN_FDS"])
assert os.environ["LISTEN_FDNAMES"] == ":".join(["lab"] * SOCKETS)
selector = selectors.DefaultSelector()
datagrams = []


def accept(listener):
    connection, _ = listener.accept()
    selector.register(connection, selectors.EVENT_READ, answer)


def answer(connection):
    text = connection.recv(1000).decode().strip()
    if not text:
        selector.unregister(connection)
        connection.close()
        return
    said = " ".join(datagrams) if text == "datagrams" else str(os.getpid())
    connection.sendall(f"{said}\n".encode())


for fd in range(3, 3 + SOCKETS):
    one = socket.socket(fileno=fd)
    one.setblocking(False)
    if one.type == socket.SOCK_DGRAM:
        selector.register(one, selectors.EVENT_READ, lambda it: datagrams.append(it.recv(1000).decode()))
    else:
        # Of systemd's own sockets none has it.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        selector.register(one, selectors.EVENT_READ, accept)
while True:
    for key, _ in selector.select():
        try:
            key.data(key.fileobj)
        except (BlockingIOError, ConnectionError):
            pass
