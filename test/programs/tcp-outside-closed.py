"""The peer outside has ended its half before the freeze, and ours is open: the rest still reaches it.

kmonte-shows: socket/tcp/restore
"""

import os
import signal
import socket

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
address = listener.getsockname()
if os.fork() == 0:
    if os.fork() == 0:
        listener.close()
        os.setsid()
        peer = socket.create_connection(address[:2])
        peer.settimeout(20)
        peer.sendall(b"request")
        peer.shutdown(socket.SHUT_WR)
        data = b""
        while part := peer.recv(4096):
            data += part
        with open("peer", "wb") as file:
            file.write(data)
    os._exit(0)
os.wait()
connection, _ = listener.accept()
assert connection.recv(3) == b"req"
connection.sendall(b"begin ")
print("READY", flush=True)
signal.sigwait({signal.SIGTERM})
rest = connection.recv(100, socket.MSG_WAITALL)
connection.sendall(b"end")
connection.close()
for _ in range(1000):
    if os.path.exists("peer") and open("peer", "rb").read() == b"begin end":
        break
    signal.sigtimedwait(set(), 0.01)
answer = open("peer", "rb").read()
print("PASS" if rest == b"uest" and answer == b"begin end" else f"FAIL: {rest} {answer}", flush=True)
