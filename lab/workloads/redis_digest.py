#!/usr/bin/python3
"""Prints how many keys a redis-server holds in its database 0, and a digest of all of them: redis_digest.py PORT.

The server computes it, in portions that do not keep its other clients waiting for long.
"""

import sys

from redis_protocol import Connection

SCRIPT = b"""
local digest = ARGV[1]
for _, key in ipairs(KEYS) do
  digest = redis.sha1hex(digest .. key .. (redis.call('GET', key) or 'missing'))
end
return digest
"""

redis = Connection(int(sys.argv[1]))
count = redis.call(b"DBSIZE")
digest = b""
for start in range(0, count, 64):
    keys = [b"key:%d" % key for key in range(start, min(start + 64, count))]
    digest = redis.call(b"EVAL", SCRIPT, b"%d" % len(keys), *keys, digest)
print(count, digest.decode())
