"""The things that the random program holds. Each has a model in plain Python, and a check that compares."""

import ctypes
import fcntl
import mmap
import os
import resource
import select
import signal
import socket
import struct
import tempfile
import termios
import time

libc = ctypes.CDLL(None, use_errno=True)


def some_bytes(rng, most):
    return rng.randbytes(rng.randrange(1, most))


class Queue:
    """What is written comes out again, whole and in order."""

    most = 2000

    def __init__(self, rng):
        self.model = b""
        self.room = 30_000
        self.open(rng)

    def step(self, rng):
        if rng.random() < 0.5 and len(self.model) < self.room:
            data = some_bytes(rng, self.most)
            self.put(data)
            self.model += data
        elif self.model:
            got = self.get(rng.randrange(1, len(self.model) + 1))
            assert got and self.model.startswith(got), "a queue gave other bytes"
            self.model = self.model[len(got) :]

    def check(self):
        count = struct.unpack("i", fcntl.ioctl(self.end_to_read(), termios.FIONREAD, b"\0" * 4))[0]
        assert count == len(self.model), f"{count} bytes are in {type(self).__name__}, not {len(self.model)}"

    def end(self):
        pass


class Pipe(Queue):
    def open(self, rng):
        self.read_end, self.write_end = os.pipe2(rng.choice([0, os.O_NONBLOCK, os.O_CLOEXEC]))
        fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, rng.choice([65536, 131072]))
        self.room = 20_000

    def put(self, data):
        assert os.write(self.write_end, data) == len(data)

    def get(self, most):
        return os.read(self.read_end, most)

    def end_to_read(self):
        return self.read_end


class Stream(Queue):
    """From one socket to another."""

    def put(self, data):
        self.a.sendall(data)

    def get(self, most):
        return self.b.recv(most)

    def end_to_read(self):
        return self.b


class UnixStream(Stream):
    def open(self, rng):
        self.a, self.b = socket.socketpair()
        if rng.random() < 0.5:
            self.b.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)


class TcpStream(Stream):
    """Both ends in this process; what was sent may be on its way for a moment."""

    def open(self, rng):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.a = socket.create_connection(listener.getsockname())
            self.b, _ = listener.accept()
        if rng.random() < 0.5:
            self.a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def check(self):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                return super().check()
            except AssertionError:
                time.sleep(0.01)
        super().check()


class Messages:
    """Datagrams keep their borders, and descriptors that travel with them arrive."""

    def __init__(self, rng):
        kind = rng.choice([socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
        self.a, self.b = socket.socketpair(socket.AF_UNIX, kind)
        self.model = []
        self.file = tempfile.TemporaryFile()
        self.file.write(b"carried")
        self.file.flush()

    def step(self, rng):
        if rng.random() < 0.5 and len(self.model) < 5:
            data = some_bytes(rng, 300)
            carried = rng.random() < 0.4
            socket.send_fds(self.a, [data], [self.file.fileno()] if carried else [])
            self.model.append((data, carried))
        elif self.model:
            data, carried = self.model.pop(0)
            got, fds, _, _ = socket.recv_fds(self.b, 1000, 1)
            assert got == data, "a message has changed"
            assert len(fds) == int(carried), "a descriptor did not arrive"
            for fd in fds:
                assert os.pread(fd, 10, 0) == b"carried"
                os.close(fd)

    def check(self):
        assert bool(select.select([self.b], [], [], 0)[0]) == bool(self.model)

    def end(self):
        pass


class Memory:
    """Words at random places of mappings of every kind."""

    def __init__(self, rng):
        size = rng.choice([4096, 65536, 3 << 20])
        flags = rng.choice([mmap.MAP_PRIVATE, mmap.MAP_SHARED])
        if rng.random() < 0.4:
            self.file = tempfile.TemporaryFile()
            self.file.truncate(size)
            self.map = mmap.mmap(self.file.fileno(), size, flags)
        else:
            self.map = mmap.mmap(-1, size, flags | mmap.MAP_ANONYMOUS)
        self.model = {}

    def step(self, rng):
        at = rng.randrange(len(self.map) // 8) * 8
        word = rng.randbytes(8)
        self.map[at : at + 8] = word
        self.model[at] = word

    def check(self):
        for at, word in self.model.items():
            assert self.map[at : at + 8] == word, f"memory at {at} has changed"

    def end(self):
        pass


class File:
    """A file with a position, named or already unlinked, and with holes."""

    def __init__(self, rng):
        fd, self.path = tempfile.mkstemp(dir=".")
        os.close(fd)
        self.fd = os.open(self.path, os.O_RDWR | rng.choice([0, os.O_APPEND]))
        self.named = rng.random() < 0.5
        if not self.named:
            os.unlink(self.path)
        self.model = bytearray()
        self.position = 0

    def step(self, rng):
        choice = rng.random()
        if choice < 0.5 and len(self.model) < 200_000:
            at = len(self.model) + rng.choice([0, 0, 9000])
            data = some_bytes(rng, 5000)
            os.ftruncate(self.fd, at)
            os.pwrite(self.fd, data, at)
            self.model += b"\0" * (at - len(self.model)) + data
        else:
            self.position = rng.randrange(len(self.model) + 1)
            os.lseek(self.fd, self.position, os.SEEK_SET)

    def check(self):
        assert os.lseek(self.fd, 0, os.SEEK_CUR) == self.position, "a file's position has changed"
        assert os.pread(self.fd, len(self.model) + 1, 0) == bytes(self.model), "a file has changed"

    def end(self):
        if self.named:
            os.unlink(self.path)


class Locks:
    """Ranges that another process may not lock."""

    def __init__(self, rng):
        self.file = tempfile.NamedTemporaryFile(dir=".")
        self.model = set()
        self.whole = rng.random() < 0.5
        if self.whole:
            fcntl.flock(self.file, fcntl.LOCK_EX)

    def step(self, rng):
        at = rng.randrange(20)
        if at in self.model:
            fcntl.lockf(self.file, fcntl.LOCK_UN, 1, at * 10)
            self.model.remove(at)
        else:
            fcntl.lockf(self.file, fcntl.LOCK_EX, 1, at * 10)
            self.model.add(at)

    def check(self):
        with open("/proc/locks") as table:
            inode = os.fstat(self.file.fileno()).st_ino
            mine = [line.split() for line in table if f":{inode} " in line and "->" not in line]
        starts = {int(words[6]) // 10 for words in mine if words[1] == "POSIX" and words[4] == str(os.getpid())}
        assert starts == self.model, f"locks at {starts}, not {self.model}"
        assert any(words[1] == "FLOCK" for words in mine) == self.whole, "the lock on a whole file"

    def end(self):
        pass


class Counter:
    """An eventfd, watched by an epoll set."""

    def __init__(self, rng):
        self.semaphore = rng.random() < 0.5
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | (os.EFD_SEMAPHORE if self.semaphore else 0))
        self.epoll = select.epoll()
        self.epoll.register(self.fd, select.EPOLLIN)
        self.model = 0

    def step(self, rng):
        if rng.random() < 0.6:
            more = rng.randrange(1, 50)
            os.eventfd_write(self.fd, more)
            self.model += more
        elif self.model:
            wanted = 1 if self.semaphore else self.model
            assert os.eventfd_read(self.fd) == wanted
            self.model -= wanted

    def check(self):
        assert bool(self.epoll.poll(0)) == (self.model > 0), "an epoll set says something else"

    def end(self):
        pass


class Terminal:
    """A pseudo-terminal: lines that were typed are read, the size stays."""

    def __init__(self, rng):
        self.master, self.slave = os.openpty()
        mode = termios.tcgetattr(self.slave)
        mode[3] &= ~(termios.ECHO | (termios.ICANON if rng.random() < 0.5 else 0))
        termios.tcsetattr(self.slave, termios.TCSANOW, mode)
        self.mode = termios.tcgetattr(self.slave)
        self.size = (rng.randrange(1, 200), rng.randrange(1, 200))
        termios.tcsetwinsize(self.slave, self.size)
        self.model = []

    def step(self, rng):
        if rng.random() < 0.5 and len(self.model) < 10:
            line = b"%d\n" % rng.randrange(10**9)
            os.write(self.master, line)
            self.model.append(line)
        elif self.model:
            line = self.model.pop(0)
            assert os.read(self.slave, len(line)) == line, "a terminal gave another line"

    def check(self):
        assert termios.tcgetwinsize(self.slave) == self.size
        assert termios.tcgetattr(self.slave) == self.mode, "a terminal's mode has changed"

    def end(self):
        pass


class Signals:
    """Queued real-time signals with their values, blocked."""

    def __init__(self, rng):
        self.number = signal.SIGRTMIN + rng.randrange(3, 20)
        signal.pthread_sigmask(signal.SIG_BLOCK, [self.number])
        self.model = []

    def step(self, rng):
        if rng.random() < 0.5 and len(self.model) < 20:
            value = rng.randrange(1 << 20)
            assert libc.sigqueue(os.getpid(), int(self.number), ctypes.c_void_p(value)) == 0
            self.model.append(value)
        elif self.model:
            info = (ctypes.c_int * 32)()
            mask = ctypes.c_uint64(1 << (self.number - 1))
            got = libc.sigtimedwait(ctypes.byref(mask), info, struct.pack("qq", 0, 0))
            assert got == self.number and info[6] == self.model.pop(0), "a queued signal has changed"

    def check(self):
        assert (self.number in signal.sigpending()) == bool(self.model)

    def end(self):
        pass


class IntervalTimer:
    """A timer of real time that goes on ticking."""

    def __init__(self, rng):
        self.ticks = 0
        self.last = time.monotonic()
        signal.signal(signal.SIGALRM, self.tick)
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)

    def tick(self, *_):
        self.ticks += 1
        self.last = time.monotonic()

    def step(self, rng):
        pass

    def check(self):
        assert time.monotonic() - self.last < 5, "a timer has stopped"

    def end(self):
        signal.setitimer(signal.ITIMER_REAL, 0)


class Marks:
    """Small things that the kernel keeps for a process."""

    def __init__(self, rng):
        self.directory = tempfile.mkdtemp(dir=".")
        self.fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        os.rmdir(self.directory)
        self.mask = rng.choice([0o022, 0o077, 0o027])
        os.umask(self.mask)
        resource.setrlimit(resource.RLIMIT_CORE, (rng.randrange(1 << 20), resource.RLIM_INFINITY))
        self.core = resource.getrlimit(resource.RLIMIT_CORE)
        self.nice = os.nice(rng.randrange(3))
        self.group = os.getpgrp()

    def step(self, rng):
        pass

    def check(self):
        mask = os.umask(self.mask)
        assert mask == self.mask and os.getpgrp() == self.group
        assert resource.getrlimit(resource.RLIMIT_CORE) == self.core and os.nice(0) == self.nice
        assert os.fstat(self.fd).st_nlink == 0

    def end(self):
        pass


KINDS = [Pipe, UnixStream, TcpStream, Messages, Memory, Memory, File, File, Locks, Counter, Terminal, Signals]
KINDS += [IntervalTimer, Marks]
