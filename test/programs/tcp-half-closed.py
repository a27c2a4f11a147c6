"""Many connections of which one end has said its last: the other end comes back first, and none is reset.

kmonte-shows: socket/tcp/restore
"""

import socket

from kmonte_test import CLOSE_WAIT, FIN_WAIT2, equal, listener, passed, ready_and_wait, state, tcp_pair, until

server = listener()
pairs = [tcp_pair(listening=server) for _ in range(60)]
for number, (client, accepted) in enumerate(pairs):
    ended, other = (client, accepted) if number % 2 else (accepted, client)
    ended.shutdown(socket.SHUT_WR)
    pairs[number] = (ended, other)
for ended, other in pairs:
    until(lambda: state(ended) == FIN_WAIT2, "FIN_WAIT2")
    until(lambda: state(other) == CLOSE_WAIT, "CLOSE_WAIT")
# Files are opened in the order of their numbers: those that have ended get the highest.
later = [ended.dup() for ended, _ in pairs]
for ended, _ in pairs:
    ended.close()
ready_and_wait()
for ended, (_, other) in zip(later, pairs):
    equal(other.recv(100), b"", "the end")
    other.sendall(b"an answer")
    other.close()
    equal(ended.recv(100), b"an answer", "the answer")
    equal(ended.recv(100), b"", "the end of the answer")
passed()
