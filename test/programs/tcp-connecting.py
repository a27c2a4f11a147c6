"""Connections in the making (SYN_SENT): the first packet finds a full backlog, and is sent again after the thaw.

kmonte-shows: socket/tcp/connecting
"""

import errno
import socket
import threading

from kmonte_test import SYN_SENT, equal, listener, passed, ready_and_wait, state, talk, until

server = listener(backlog=2)
first = [socket.create_connection(server.getsockname()) for _ in range(3)]
polled = socket.socket()
polled.setblocking(False)
equal(polled.connect_ex(server.getsockname()), errno.EINPROGRESS, "connect")
blocked = socket.socket()
answers = []
threading.Thread(target=lambda: answers.append(blocked.connect_ex(server.getsockname()))).start()
until(lambda: state(blocked) == SYN_SENT and state(polled) == SYN_SENT, "SYN_SENT")
names = [polled.getsockname(), blocked.getsockname()]
ready_and_wait()
assert not answers, f"connect has come back: {answers}"
equal(polled.connect_ex(server.getsockname()), errno.EALREADY, "connect again")
equal([polled.getsockname(), blocked.getsockname()], names, "names")
server.settimeout(10)
accepted = {}
for _ in range(5):
    sock, peer = server.accept()
    accepted[peer] = sock
until(lambda: answers, "the end of connect")
equal(answers, [0], "the answer of connect")
for client in (*first, polled, blocked):
    client.settimeout(10)
    talk(client, accepted[client.getsockname()])
passed()
