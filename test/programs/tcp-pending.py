"""Connections between processes of the set that nobody has accepted yet, in the order in which they were made.

kmonte-shows: socket/tcp/backlog
"""

import select
import socket

from kmonte_test import CLOSE_WAIT, ESTABLISHED, FIN_WAIT2, equal, listener, passed, ready_and_wait, state, talk


def connect(server):
    client = socket.create_connection(server.getsockname()[:2])
    client.settimeout(10)
    return client


waiting = [listener(), listener("::1")]
clients = [[connect(server) for _ in range(3)] for server in waiting]
clients[0][1].shutdown(socket.SHUT_WR)
clients[0][2].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
deferred = listener()
deferred.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
late = connect(deferred)
names = [[client.getsockname() for client in row] for row in clients]
ready_and_wait()
for server, row, known in zip(waiting, clients, names):
    for i, (client, name) in enumerate(zip(row, known)):
        equal(client.getsockname(), name, "name of a client")
        accepted, peer = server.accept()
        accepted.settimeout(10)
        equal(peer, name, f"client {i} of the backlog")
        if client is clients[0][1]:
            equal((state(client), state(accepted)), (FIN_WAIT2, CLOSE_WAIT), "states")
            equal(accepted.recv(1), b"", "end")
            accepted.sendall(b"rest")
            equal(client.recv(4), b"rest", "the open half")
        else:
            equal((state(client), state(accepted)), (ESTABLISHED, ESTABLISHED), "states")
            talk(client, accepted)
    assert not select.select([server], [], [], 0)[0], "more connections than there were"
equal(clients[0][2].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 1, "TCP_NODELAY")
late.sendall(b"word")
accepted, peer = deferred.accept()
equal((accepted.recv(4), peer), (b"word", late.getsockname()), "deferred")
passed()
