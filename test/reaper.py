"""Runs a command, and buries at once whatever its orphans leave behind: reaper.py COMMAND [ARGUMENT...]

Ids of a frozen set are free only when somebody has taken note of the end of its processes. Where init takes a second
for that, so does every cycle of freeze and thaw.
"""

import ctypes
import os
import signal
import sys

PR_SET_CHILD_SUBREAPER = 36

ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
command = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, lambda number, _: os.kill(command, number))
while True:
    pid, status = os.wait()
    if pid == command:
        sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
