"""Clients outside of the set come all the time, and the server is slow to accept: none of them notices anything.

kmonte-shows: socket/tcp/backlog socket/transient
"""

import os
import signal
import socket
import time

from kmonte_test import listener, passed

server = listener(backlog=64)
server.setblocking(False)
address = server.getsockname()


def come_and_go():
    """Connects, asks and hears, again and again."""
    count = 0
    try:
        while not os.path.exists("enough"):
            with socket.create_connection(address, timeout=20) as client:
                if count % 3:
                    time.sleep(0.005)
                client.sendall(b"%08d" % count)
                assert client.recv(8) == b"%08d" % count, f"another answer to {count}"
            count += 1
        text = f"good {count}"
    except Exception as error:
        text = f"{type(error).__name__} {error} after {count}"
    with open("peer.new", "w") as file:
        file.write(text)
    os.rename("peer.new", "peer")


if os.fork() == 0:
    if os.fork() == 0:
        server.close()
        os.setsid()
        come_and_go()
    os._exit(0)
os.wait()


def serve():
    """Takes its time, then serves all who wait."""
    time.sleep(0.02)
    for _ in range(4):
        try:
            connection, _ = server.accept()
        except BlockingIOError:
            return
        with connection:
            connection.settimeout(20)
            connection.sendall(connection.recv(8))


for _ in range(5):
    serve()
print("READY", flush=True)
while signal.SIGTERM not in signal.sigpending():
    serve()
for _ in range(5):
    serve()
open("enough", "w").close()
deadline = time.monotonic() + 20
while not os.path.exists("peer"):
    assert time.monotonic() < deadline, "the client does not come to an end"
    serve()
text = open("peer").read()
assert text.startswith("good"), text
passed()
