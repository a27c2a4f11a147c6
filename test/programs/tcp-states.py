"""Every state of a connection whose both ends are in the set, with data on the way in each direction.

kmonte-shows: socket/tcp/connection
"""

import socket

from kmonte_test import CLOSE_WAIT, FIN_WAIT1, FIN_WAIT2, LAST_ACK, drain, equal, passed, ready_and_wait, receive, state, stuff, talk, tcp_pair, until

both, = [tcp_pair()]
counts = stuff(both[0]), stuff(both[1])
both[0].shutdown(socket.SHUT_WR), both[1].shutdown(socket.SHUT_WR)
last = tcp_pair()
last[0].shutdown(socket.SHUT_WR)
until(lambda: state(last[1]) == CLOSE_WAIT and state(last[0]) == FIN_WAIT2, "CLOSE_WAIT")
lasting = stuff(last[1])
last[1].shutdown(socket.SHUT_WR)
closed = tcp_pair()
closed[0].sendall(b"unread"), closed[0].shutdown(socket.SHUT_WR)
until(lambda: state(closed[1]) == CLOSE_WAIT and state(closed[0]) == FIN_WAIT2, "CLOSE_WAIT")
reading = tcp_pair()
reading[0].sendall(b"kept")
reading[1].shutdown(socket.SHUT_RD)
corked = tcp_pair()
corked[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
corked[0].sendall(b"corked")
more = tcp_pair()
more[0].send(b"more", socket.MSG_MORE)
tied = tcp_pair()
tied[0].send(b"a"), tied[0].send(b"b")
six = tcp_pair("::1")
talk(*six)
states = [[state(end) for end in pair] for pair in (both, last, closed, reading)]
equal(states[:3], [[FIN_WAIT1, FIN_WAIT1], [FIN_WAIT2, LAST_ACK], [FIN_WAIT2, CLOSE_WAIT]], "states")
ready_and_wait()
equal([[state(end) for end in pair] for pair in (both, last, closed, reading)], states, "states")
drain(both[1], counts[0]), drain(both[0], counts[1])
equal((both[0].recv(1), both[1].recv(1)), (b"", b""), "ends")
drain(last[0], lasting)
equal(last[0].recv(1), b"", "end")
equal(receive(closed[1], 6), b"unread", "unread")
closed[1].sendall(b"answer")
equal(receive(closed[0], 6), b"answer", "answer")
equal(reading[1].recv(10), b"kept", "kept")
equal(reading[1].recv(10), b"", "an end of its own making")
equal(corked[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK), 1, "TCP_CORK")
corked[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
equal(receive(corked[1], 6), b"corked", "corked")
more[0].send(b" now")
equal(receive(more[1], 8), b"more now", "more")
equal(receive(tied[1], 2), b"ab", "tied")
for pair in (corked, more, tied, six):
    talk(*pair)
passed()
