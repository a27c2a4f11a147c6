#!/usr/bin/python3
"""Threads that a freeze catches in different places: ticker.py DIRECTORY.

One hashes without pause; one sleeps; one waits on a lock with a timeout; one polls; the main thread gets an interval
timer's signals. Each wakes up to write a line `number thread monotonic boottime realtime` (nanoseconds) into `lines`;
all count together, so that the numbers show whether anything was lost or done twice. A wait that was cut short is a
line in `complaints`.
"""

import hashlib
import queue
import select
import signal
import sys
import threading
import time

directory = sys.argv[1]
lines = open(f"{directory}/lines", "ab", buffering=0)
complaints = open(f"{directory}/complaints", "ab", buffering=0)
hashes = open(f"{directory}/hashes", "ab", buffering=0)
lock = threading.Lock()
number = 0


def write_line(thread):
    global number
    with lock:
        number += 1
        clocks = (time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME, time.CLOCK_REALTIME)
        stamps = " ".join(str(time.clock_gettime_ns(clock)) for clock in clocks)
        lines.write(f"{number} {thread} {stamps}\n".encode())


def waiting(thread, seconds, wait):
    while True:
        start = time.monotonic()
        wait(seconds)
        waited = time.monotonic() - start
        if waited < seconds:
            complaints.write(f"{thread}: waited {waited:.6f} s instead of {seconds} s\n".encode())
        write_line(thread)


def hash_on():
    block = bytes(16384)
    rounds = 0
    while True:
        block = hashlib.sha256(block).digest() * 512
        rounds += 1
        if rounds % 100 == 0:
            hashes.write(f"{rounds} {block[:32].hex()}\n".encode())


def wait_in_queue(seconds):
    try:
        queue.Queue().get(timeout=seconds)
    except queue.Empty:
        pass


def poll(seconds):
    # poll(2) counts whole milliseconds.
    select.poll().poll(int(seconds * 1000))


for target, arguments in (
    (hash_on, ()),
    (waiting, ("sleep", 0.25, time.sleep)),
    (waiting, ("queue", 0.5, wait_in_queue)),
    (waiting, ("poll", 0.75, poll)),
    (waiting, ("long", 20, time.sleep)),
):
    threading.Thread(target=target, args=arguments).start()

# The handler interrupts the main thread anywhere, in write_line too: it only takes note.
ticks = []
signal.signal(signal.SIGALRM, lambda *_: ticks.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.4, 0.4)
while True:
    signal.pause()
    while ticks:
        ticks.pop()
        write_line("timer")
