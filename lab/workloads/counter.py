#!/usr/bin/python3
"""Increments a counter in redis and records every reply: counter.py PORT FILE. Connects anew when it must.

A line of the file is the counter as redis answered it. Redis must never be behind the last line.
"""

import sys
import time

from redis_protocol import Connection

port, path = int(sys.argv[1]), sys.argv[2]
record = open(path, "ab", buffering=0)
redis = None
while True:
    try:
        if redis is None:
            redis = Connection(port)
            redis.call(b"SELECT", b"1")
        record.write(b"%d\n" % redis.call(b"INCR", b"counter"))
    except OSError:
        redis = None
    time.sleep(0.25)
