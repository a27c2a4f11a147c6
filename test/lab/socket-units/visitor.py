"""visitor.py HOST PORT: comes again and again, over a new connection each time. For each line of its input it writes, as
JSON, which answers it has got since the last one, and how often it was refused, or its connection broken."""

import json
import socket
import sys
import threading
import time

seen = {"answers": [], "refused": 0, "broken": 0}
lock = threading.Lock()


def note(key, answer=None):
    with lock:
        if answer is None:
            seen[key] += 1
        elif answer not in seen[key]:
            seen[key].append(answer)


def visit():
    while True:
        try:
            with socket.create_connection((sys.argv[1], int(sys.argv[2])), 60) as connection:
                connection.sendall(b"who\n")
                answer = connection.recv(100).decode().strip()
                note(*("answers", answer) if answer else ("broken",))
        except ConnectionRefusedError:
            note("refused")
        except ConnectionError:
            note("broken")
        except OSError:
            # The network is away.
            pass
        time.sleep(0.01)


threading.Thread(target=visit, daemon=True).start()
for _ in sys.stdin:
    with lock:
        print(json.dumps(seen), flush=True)
        seen = {"answers": [], "refused": 0, "broken": 0}
