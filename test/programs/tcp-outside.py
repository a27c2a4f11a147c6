"""A TCP connection to a process outside the frozen set: it sees a pause, no reset, no byte lost or doubled.

kmonte-shows: socket/quarantine/quarantine socket/tcp/connection
"""

import os
import select
import signal
import socket
import struct
import time

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()


def outside():
    """Sends numbers without waiting, reads them back, and writes down what it saw."""
    peer = socket.create_connection(address)
    peer.settimeout(20)
    sent = received = 0
    last = time.monotonic()
    longest = 0.0
    buffer = b""
    try:
        while received < 1500:
            if sent < 1500 and sent < received + 50:
                peer.sendall(struct.pack("<Q", sent) * 64)
                sent += 1
                time.sleep(0.003)
                if not select.select([peer], [], [], 0)[0]:
                    continue
            data = peer.recv(4096)
            longest = max(longest, time.monotonic() - last)
            last = time.monotonic()
            if not data:
                raise OSError("the connection ended")
            buffer += data
            while len(buffer) >= 512:
                assert buffer[:512] == struct.pack("<Q", received) * 64, f"other bytes in message {received}"
                buffer = buffer[512:]
                received += 1
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(1) == b""
        text = f"good {longest:.3f}"
    except Exception as error:
        text = f"{type(error).__name__} {error} after {received}"
    with open("peer", "w") as file:
        file.write(text)


if os.fork() == 0:
    if os.fork() == 0:
        listener.close()
        os.setsid()
        outside()
    os._exit(0)
os.wait()
connection, _ = listener.accept()
listener.close()
for count in range(100):
    connection.sendall(connection.recv(512, socket.MSG_WAITALL))
print("READY", flush=True)
try:
    while data := connection.recv(2000):
        connection.sendall(data)
    connection.close()
except OSError as error:
    print(f"FAIL: {error}", flush=True)
    raise
for _ in range(2000):
    if os.path.exists("peer"):
        break
    time.sleep(0.01)
time.sleep(0.05)
text = open("peer").read()
signal.sigwait({signal.SIGTERM})
print("PASS" if text.startswith("good") else f"FAIL: {text}", flush=True)
