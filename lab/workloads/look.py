#!/usr/bin/python3
"""Prints as JSON what the kernel says of processes and of all their descendants: look.py PID…"""

import json
import os
import sys


def look(pid):
    with open(f"/proc/{pid}/stat") as file:
        before, after = file.read().rsplit(")", 1)
    fields = after.split()
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    return {
        "pid": pid,
        "name": before.split("(", 1)[1],
        "command": command,
        "state": fields[0],
        "parent": int(fields[1]),
        "group": int(fields[2]),
        "session": int(fields[3]),
        "exit": int(fields[49]),
    }


def everything():
    for name in os.listdir("/proc"):
        try:
            if name.isdigit():
                yield look(int(name))
        except OSError:
            pass  # it ended while we were looking


found = list(everything())
wanted = {int(pid) for pid in sys.argv[1:]}
while more := {entry["pid"] for entry in found if entry["parent"] in wanted} - wanted:
    wanted |= more
print(json.dumps([entry for entry in found if entry["pid"] in wanted]))
