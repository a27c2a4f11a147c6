"""redis-server and a client that counts and writes, in one tree; every answer is checked against what was written."""

import os
import signal
import socket
import subprocess
import sys
import time

told = False


def on_term(*_):
    global told
    told = True


signal.signal(signal.SIGTERM, on_term)
with socket.create_server(("127.0.0.1", 0)) as probe:
    port = probe.getsockname()[1]
server = subprocess.Popen(
    ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"],
    stdout=subprocess.DEVNULL,
)
for _ in range(500):
    try:
        connection = socket.create_connection(("127.0.0.1", port))
        break
    except OSError:
        time.sleep(0.01)
connection.settimeout(20)
stream = connection.makefile("rwb")


def ask(*words):
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    stream.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
    stream.flush()
    line = stream.readline()
    if line.startswith(b"$"):
        return stream.read(int(line[1:]) + 2)[:-2]
    return line.strip()


for number in range(1000):
    assert ask("SET", f"key{number}", os.urandom(16).hex() * 20 if number else b"\x00\xff" * 10) == b"+OK"
blocked = socket.create_connection(("127.0.0.1", port))
blocked.sendall(b"*3\r\n$5\r\nBLPOP\r\n$4\r\nlist\r\n$1\r\n0\r\n")
print("READY", flush=True)
count = 0
after = 0
while after < 50:
    count += 1
    answer = ask("INCR", "counter")
    assert answer == b":%d" % count, f"{answer} instead of {count}"
    if told:
        after += 1
    time.sleep(0.002)
assert ask("LPUSH", "list", "woken") == b":1"
blocked.settimeout(10)
assert b"woken" in blocked.recv(100)
assert ask("GET", "key0") == b"\x00\xff" * 10
assert ask("DBSIZE") == b":1001"
server.terminate()
print("PASS" if server.wait(10) == 0 else "FAIL: the server ended badly", flush=True)
sys.exit()
