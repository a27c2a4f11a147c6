"""A random program: things of many kinds, each with a model of what it must hold, used and compared all the time.

Usage: stressor.py SEED [DEPTH]. Says READY when all is built, PASS or FAIL and why after SIGTERM. The same seed builds
the same things; what it does with them, and when, differs from run to run.
"""

import os
import random
import signal
import sys
import threading
import time

from kinds import KINDS
from more_kinds import MORE_KINDS

told = False


def on_term(*_):
    global told
    told = True


class Child:
    """A child process that is a random program itself, and that answers on a pipe."""

    def __init__(self, rng, depth):
        seed = rng.randrange(1 << 30)
        to_child, to_parent = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(to_child[1])
            os.close(to_parent[0])
            os._exit(live(seed, depth - 1, to_child[0], to_parent[1]))
        os.close(to_child[0])
        os.close(to_parent[1])
        self.ask, self.answer = to_child[1], to_parent[0]

    def step(self, rng):
        word = bytes([rng.randrange(1, 256)])
        os.write(self.ask, word)
        got = os.read(self.answer, 1)
        assert got == word, f"child {self.pid} answered {got!r} to {word!r}"

    def check(self):
        assert os.waitpid(self.pid, os.WNOHANG) == (0, 0), "a child has ended"

    def end(self):
        os.write(self.ask, b"\0")
        pid, status = os.waitpid(self.pid, 0)
        assert (pid, status) == (self.pid, 0), f"child {pid} ended with {status}"


class Sleeper(threading.Thread):
    """A thread that sleeps, never too short, and counts."""

    def __init__(self, rng):
        super().__init__(daemon=True)
        self.nap = rng.choice([0.002, 0.01, 0.05])
        self.trouble = None
        self.count = 0
        self.start()

    def run(self):
        while self.trouble is None:
            before = time.monotonic_ns()
            time.sleep(self.nap)
            took = (time.monotonic_ns() - before) / 1e9
            if took < self.nap * 0.999:
                self.trouble = f"slept {took} of {self.nap}"
            self.count += 1

    def step(self, rng):
        pass

    def check(self):
        assert self.trouble is None, self.trouble

    def end(self):
        pass


def build(rng, depth):
    chosen = rng.sample(KINDS + MORE_KINDS, rng.randrange(5, 12))
    things = [kind(rng) for kind in chosen]
    children = [Child(rng, depth) for _ in range(rng.randrange(3) if depth > 0 else 0)]
    sleepers = [Sleeper(rng) for _ in range(rng.randrange(4))]
    return things + children + sleepers


def use(things, doing):
    """One random use of one thing; now and then a look at all of them."""
    thing = doing.choice(things)
    thing.step(doing)
    thing.check()
    if doing.random() < 0.05:
        for other in things:
            other.check()


def live(seed, depth, orders=None, answers=None):
    """A child goes on as long as its parent asks."""
    try:
        rng = random.Random(seed)
        things = build(rng, depth)
        doing = random.Random()
        if orders is None:
            print("READY", flush=True)
        while not told:
            use(things, doing)
            if orders is None:
                time.sleep(0.003)
                continue
            word = os.read(orders, 1)
            if word in (b"", b"\0"):
                break
            os.write(answers, word)
        for thing in things:
            thing.check()
            thing.end()
        return 0
    except BaseException as trouble:  # noqa: BLE001 - whatever it is, it is what the test is about
        where = trouble.__traceback__
        while where.tb_next:
            where = where.tb_next
        print(f"FAIL {type(trouble).__name__} {trouble} (line {where.tb_lineno})", flush=True)
        return 1


def main():
    signal.signal(signal.SIGTERM, on_term)
    seed = int(sys.argv[1])
    depth = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    os.chdir(os.environ.get("STRESS_DIRECTORY", "."))
    status = live(seed, depth)
    if status == 0:
        print("PASS", flush=True)
    sys.exit(status)


main()
