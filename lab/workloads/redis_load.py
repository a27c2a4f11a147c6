#!/usr/bin/python3
"""Fills a redis-server: redis_load.py PORT MEBIBYTES. No two values are alike, and none can be compressed."""

import random
import sys

from redis_protocol import Connection

VALUE = 65536

port, mebibytes = int(sys.argv[1]), int(sys.argv[2])
redis = Connection(port)
noise = random.Random(port).randbytes(2**20 + VALUE)
count = mebibytes * 2**20 // VALUE
for start in range(0, count, 64):
    keys = range(start, min(start + 64, count))
    # Each value is a window on the same noise, a prime number of bytes further than the one before.
    windows = ((b"key:%d" % key, key * 8191 % 2**20) for key in keys)
    redis.send(b"".join(Connection.encode(b"SET", key, noise[at : at + VALUE]) for key, at in windows))
    for _ in keys:
        redis.reply()
print(count)
