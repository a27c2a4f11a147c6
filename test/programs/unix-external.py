"""A unix connection whose other end stays outside the frozen set is refused, and goes on.

kmonte-refuses: EXTERNAL_SOCKET
kmonte-shows: socket/external
"""

import os
import signal
import socket
import sys

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
mine, other = socket.socketpair()
# The other end is held by a grandchild that init has taken over: a descendant no longer.
if os.fork() == 0:
    if os.fork() == 0:
        mine.close()
        os.setsid()
        other.sendall(b"hello")
        while data := other.recv(10):
            other.sendall(data)
    os._exit(0)
other.close()
os.wait()
assert mine.recv(5) == b"hello"
mine.sendall(b"ping")
print("READY", flush=True)
signal.sigwait({signal.SIGTERM})
mine.settimeout(5)
answer = mine.recv(4)
print("PASS" if answer == b"ping" else f"FAIL: {answer}", flush=True)
sys.exit()
