"""Options of TCP sockets that listen, are connected, were accepted, or are none of these.

kmonte-shows: socket/options
"""

import socket
import struct

from kmonte_test import integer, listener, passed, ready_and_wait, talk, tcp_pair

S, I, T = socket.SOL_SOCKET, socket.IPPROTO_IP, socket.IPPROTO_TCP
# level, option, value; at most one of each.
OPTIONS = {
    "SO_KEEPALIVE": (S, 9, 1),
    "SO_OOBINLINE": (S, 10, 1),
    "IP_TOS": (I, 1, 0x10),
    "SO_PRIORITY": (S, 12, 5),
    "SO_LINGER": (S, 13, struct.pack("ii", 1, 7)),
    "SO_REUSEPORT": (S, 15, 1),
    "SO_RCVLOWAT": (S, 18, 3),
    "SO_RCVTIMEO": (S, 20, struct.pack("ll", 11, 500000)),
    "SO_SNDTIMEO": (S, 21, struct.pack("ll", 12, 500000)),
    "SO_TIMESTAMP": (S, 29, 1),
    "SO_MARK": (S, 36, 77),
    "SO_TIMESTAMPING": (S, 37, 1 << 3 | 1 << 4),
    "SO_BUSY_POLL": (S, 46, 50),
    "SO_MAX_PACING_RATE": (S, 47, struct.pack("Q", 123456789)),
    "SO_INCOMING_CPU": (S, 49, 0),
    "SO_ZEROCOPY": (S, 60, 1),
    "SO_PREFER_BUSY_POLL": (S, 69, 1),
    
    "SO_TXREHASH": (S, 74, 0),
    "IP_TTL": (I, 2, 33),
    "IP_MTU_DISCOVER": (I, 10, 0),
    "IP_RECVERR": (I, 11, 1),
    "IP_FREEBIND": (I, 15, 1),
    "IP_TRANSPARENT": (I, 19, 1),
    "IP_MINTTL": (I, 21, 5),
    "TCP_NODELAY": (T, 1, 1),
    "TCP_KEEPIDLE": (T, 4, 40),
    "TCP_KEEPINTVL": (T, 5, 41),
    "TCP_KEEPCNT": (T, 6, 42),
    "TCP_SYNCNT": (T, 7, 3),
    "TCP_LINGER2": (T, 8, 9),
    "TCP_QUICKACK": (T, 12, 0),
    "TCP_CONGESTION": (T, 13, b"reno\0\0\0\0\0\0\0\0\0\0\0\0"),
    "TCP_THIN_LINEAR_TIMEOUTS": (T, 16, 1),
    "TCP_USER_TIMEOUT": (T, 18, 30000),
    "TCP_NOTSENT_LOWAT": (T, 25, 16384),
    "TCP_SAVE_SYN": (T, 27, 1),
    "TCP_INQ": (T, 36, 1),
    "TCP_TX_DELAY": (T, 37, 100),
    "TCP_RTO_MAX_MS": (T, 44, 5000),
    "TCP_RTO_MIN_US": (T, 45, 100000),
    "TCP_DELACK_MAX_US": (T, 46, 30000),
}
LISTENING = {"TCP_DEFER_ACCEPT": (T, 9, 3), "TCP_FASTOPEN": (T, 23, 5), "TCP_FASTOPEN_NO_COOKIE": (T, 34, 1)}
FRESH = {"TCP_FASTOPEN_CONNECT": (T, 30, 1), "TCP_MAXSEG": (T, 2, 900), "IP_BIND_ADDRESS_NO_PORT": (I, 24, 1), "IP_LOCAL_PORT_RANGE": (I, 51, struct.pack("I", 61000 << 16 | 60000))}


def apply(sock, options):
    seen = {}
    for name, (level, option, value) in options.items():
        try:
            sock.setsockopt(level, option, value)
            seen[name] = read(sock, level, option, value)
        except OSError as error:
            print(name, "is not there:", error)
    return seen


def read(sock, level, option, value):
    return sock.getsockopt(level, option, len(value)) if isinstance(value, bytes) else integer(sock, level, option)


def differences(sock, options, seen, who):
    for name, before in seen.items():
        level, option, value = options[name]
        now = read(sock, level, option, value)
        if now != before:
            yield f"{who} {name} {now} instead of {before}"


waiting = listener()
client, accepted = tcp_pair(listening=waiting)
fresh = socket.socket()
# A timeout of Python is a poll of its own.
client.settimeout(None), accepted.settimeout(None)
sets = [(waiting, OPTIONS | LISTENING, "listener"), (client, OPTIONS, "client"), (accepted, {}, "accepted"), (fresh, OPTIONS | FRESH, "fresh")]
seen = [apply(sock, options) for sock, options, _ in sets]
ready_and_wait()
wrong = [line for (sock, options, who), before in zip(sets, seen) for line in differences(sock, options, before, who)]
assert not wrong, "\n".join(wrong)
client.setsockopt(S, 18, 1)
talk(client, accepted)
passed()
