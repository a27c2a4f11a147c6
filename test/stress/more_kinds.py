"""More things that the random program holds: those that come and go, and those that others than the program keep."""

import ctypes
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from kinds import Messages, Queue, libc, some_bytes

libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
IPC_CREAT, IPC_RMID, IPC_NOWAIT, SETVAL, GETVAL = 0o1000, 0, 0o4000, 16, 12


def made(result, what):
    assert result not in (-1, None), f"{what}: {os.strerror(ctypes.get_errno())}"
    return result


class Quiet:
    def step(self, rng):
        pass

    def check(self):
        pass

    def end(self):
        pass


class ComingAndGoing(Quiet):
    """Threads that live for a moment; each leaves its mark."""

    def __init__(self, rng):
        self.naps = [0, 0.001, 0.02]
        self.marks = []
        self.started = 0
        self.threads = []

    def work(self, nap):
        time.sleep(nap)
        self.marks.append(threading.get_native_id())

    def step(self, rng):
        self.threads = [thread for thread in self.threads if thread.is_alive()]
        if len(self.threads) < 5:
            thread = threading.Thread(target=self.work, args=(rng.choice(self.naps),))
            thread.start()
            self.threads.append(thread)
            self.started += 1

    def end(self):
        for thread in self.threads:
            thread.join()
        assert len(self.marks) == self.started, f"{len(self.marks)} threads of {self.started} came to their end"


class Children(Quiet):
    """Processes that end at once and wait for their parent, who knows how they ended."""

    def __init__(self, rng):
        self.model = {}

    def step(self, rng):
        if rng.random() < 0.5 and len(self.model) < 6:
            code, killed = rng.randrange(1, 200), rng.random() < 0.3
            pid = os.fork()
            if pid == 0:
                if killed:
                    os.kill(os.getpid(), signal.SIGKILL)
                os._exit(code)
            self.model[pid] = (os.CLD_KILLED, int(signal.SIGKILL)) if killed else (os.CLD_EXITED, code)
        elif self.model:
            pid = rng.choice(list(self.model))
            info = os.waitid(os.P_PID, pid, os.WEXITED)
            assert (info.si_code, info.si_status) == self.model.pop(pid), f"child {pid} ended differently: {info}"

    def end(self):
        while self.model:
            pid, expected = self.model.popitem()
            info = os.waitid(os.P_PID, pid, os.WEXITED)
            assert (info.si_code, info.si_status) == expected, f"child {pid} ended differently: {info}"


class Program(Quiet):
    """Another program, started now and then, that answers line by line."""

    def __init__(self, rng):
        self.session = rng.random() < 0.5
        self.start()

    def start(self):
        self.cat = subprocess.Popen(
            ["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=self.session
        )

    def step(self, rng):
        if rng.random() < 0.1:
            self.end()
            self.start()
        line = some_bytes(rng, 500).hex().encode() + b"\n"
        self.cat.stdin.write(line)
        assert self.cat.stdout.readline() == line, "a program answered something else"

    def check(self):
        assert self.cat.poll() is None, "a program has ended"
        assert (os.getsid(self.cat.pid) == self.cat.pid) == self.session

    def end(self):
        # Closing its input is not enough: children that were forked later have the other end too.
        self.cat.kill()
        assert self.cat.wait() == -signal.SIGKILL
        self.cat.stdin.close()
        self.cat.stdout.close()


class Udp(Messages):
    """Datagrams of the network."""

    def __init__(self, rng):
        self.family, self.host = rng.choice([(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
        self.a, self.b = (socket.socket(self.family, socket.SOCK_DGRAM) for _ in range(2))
        self.b.bind((self.host, 0))
        self.a.connect(self.b.getsockname())
        self.name = self.a.getsockname()
        self.model = []

    def step(self, rng):
        if rng.random() < 0.4 and len(self.model) < 5:
            self.model.append(some_bytes(rng, 1000))
            self.a.send(self.model[-1])
        elif self.model:
            got, source = self.b.recvfrom(2000)
            assert got == self.model.pop(0) and source[:2] == self.name[:2], "a datagram has changed"


class Backlog(Quiet):
    """Connections to a unix socket that nobody has accepted yet."""

    def __init__(self, rng):
        self.listener = socket.socket(socket.AF_UNIX, rng.choice([socket.SOCK_STREAM, socket.SOCK_SEQPACKET]))
        abstract = rng.random() < 0.5
        self.name = f"\0stress-{os.getpid()}-{id(self)}" if abstract else tempfile.mktemp(dir=".")
        self.listener.bind(self.name)
        self.listener.listen(8)
        self.model = []

    def step(self, rng):
        if rng.random() < 0.5 and len(self.model) < 6:
            client = socket.socket(socket.AF_UNIX, self.listener.type)
            client.connect(self.name)
            self.model.append(client)
        elif self.model:
            client = self.model.pop(0)
            server, _ = self.listener.accept()
            data = some_bytes(rng, 300)
            client.send(data)
            assert server.recv(1000) == data, "a connection gave other data"
            server.send(data[::-1])
            assert client.recv(1000) == data[::-1]
            client.close()
            server.close()

    def check(self):
        assert bool(select.select([self.listener], [], [], 0)[0]) == bool(self.model)

    def end(self):
        if not self.name.startswith("\0"):
            os.unlink(self.name)


class Fifo(Queue):
    """A named pipe."""

    def open(self, rng):
        self.name = tempfile.mktemp(dir=".")
        os.mkfifo(self.name)
        self.read_end = os.open(self.name, os.O_RDONLY | os.O_NONBLOCK)
        self.write_end = os.open(self.name, os.O_WRONLY)

    def put(self, data):
        assert os.write(self.write_end, data) == len(data)

    def get(self, most):
        return os.read(self.read_end, most)

    def end_to_read(self):
        return self.read_end

    def end(self):
        os.unlink(self.name)


class Events(Quiet):
    """What inotify tells. It is read at once: with events that wait nothing is frozen."""

    IN_CREATE, IN_DELETE = 0x100, 0x200

    def __init__(self, rng):
        self.folder = tempfile.mkdtemp(dir=".")
        self.fd = made(libc.inotify_init1(os.O_NONBLOCK), "inotify")
        made(libc.inotify_add_watch(self.fd, self.folder.encode(), self.IN_CREATE | self.IN_DELETE), "a watch")
        self.files = []
        self.model = []

    def step(self, rng):
        for _ in range(rng.randrange(1, 5)):
            if self.files and rng.random() < 0.5:
                name = self.files.pop()
                os.unlink(f"{self.folder}/{name}")
                self.model.append((self.IN_DELETE, name))
            else:
                name = f"file{rng.randrange(1 << 40)}"
                os.close(os.open(f"{self.folder}/{name}", os.O_CREAT | os.O_WRONLY))
                self.files.append(name)
                self.model.append((self.IN_CREATE, name))
        while self.model:
            told = os.read(self.fd, 100_000)
            while told:
                _, mask, _, length = struct.unpack_from("iIII", told)
                name = told[16 : 16 + length].rstrip(b"\0").decode()
                expected = self.model.pop(0)
                assert (mask, name) == expected, f"inotify told {mask:x} {name}, not {expected}"
                told = told[16 + length :]

    def check(self):
        assert bool(select.select([self.fd], [], [], 0)[0]) == bool(self.model)


class Watched(Quiet):
    """Many descriptors in one epoll set, in every mode."""

    def __init__(self, rng):
        self.epoll = select.epoll()
        self.pairs = {}
        for _ in range(rng.randrange(2, 8)):
            mode = rng.choice([0, select.EPOLLONESHOT])
            a, b = socket.socketpair()
            self.epoll.register(b, select.EPOLLIN | mode)
            self.pairs[b.fileno()] = [a, b, mode, 0, True]

    def step(self, rng):
        pair = rng.choice(list(self.pairs.values()))
        a, b, mode, full, armed = pair
        if rng.random() < 0.5 and full < 50:
            a.send(b"x")
            pair[3] += 1
        elif full:
            b.recv(full)
            pair[3] = 0
        if not armed and rng.random() < 0.5:
            self.epoll.modify(b, select.EPOLLIN | mode)
            pair[4] = True

    def check(self):
        expected = {fd for fd, (_, _, _, full, armed) in self.pairs.items() if full and armed}
        told = {fd for fd, _ in self.epoll.poll(0)}
        assert told == expected, f"epoll told {told}, not {expected}"
        for fd in told:
            if self.pairs[fd][2]:
                self.pairs[fd][4] = False


class MemoryFile(Quiet):
    """A memfd, mapped, sometimes sealed against growing."""

    def __init__(self, rng):
        self.size = rng.choice([5000, 100_000])
        self.fd = os.memfd_create("stress", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        os.ftruncate(self.fd, self.size)
        self.sealed = rng.random() < 0.5
        if self.sealed:
            libc.fcntl(self.fd, 1033, 4)
        self.map = mmap.mmap(self.fd, self.size)
        self.model = {}

    def step(self, rng):
        at = rng.randrange(self.size)
        if rng.random() < 0.5:
            self.map[at] = self.model[at] = rng.randrange(256)
        else:
            self.model[at] = rng.randrange(256)
            os.pwrite(self.fd, bytes([self.model[at]]), at)

    def check(self):
        for at, byte in self.model.items():
            assert self.map[at] == byte == os.pread(self.fd, 1, at)[0]
        assert os.fstat(self.fd).st_size == self.size
        assert (libc.fcntl(self.fd, 1034) == 4) == self.sealed


class SystemV(Quiet):
    """A segment, a semaphore and a queue (sysvipc(7)), which nobody keeps when all have gone."""

    def __init__(self, rng):
        self.shm = made(libc.shmget(0, 8192, IPC_CREAT | 0o600), "shmget")
        self.at = made(ctypes.c_void_p(libc.shmat(self.shm, None, 0)).value, "shmat")
        libc.shmctl(self.shm, IPC_RMID, None)
        self.sem = made(libc.semget(0, 1, IPC_CREAT | 0o600), "semget")
        self.queue = made(libc.msgget(0, IPC_CREAT | 0o600), "msgget")
        self.value = 0
        self.words = {}
        self.messages = []

    def step(self, rng):
        choice = rng.randrange(4)
        if choice == 0:
            self.value = rng.randrange(1000)
            made(libc.semctl(self.sem, 0, SETVAL, self.value), "SETVAL")
        elif choice == 1:
            at = self.at + rng.randrange(1024) * 8
            self.words[at] = rng.randrange(1 << 60)
            ctypes.c_long.from_address(at).value = self.words[at]
        elif choice == 2 and len(self.messages) < 10:
            kind, text = rng.randrange(1, 4), some_bytes(rng, 200)
            made(libc.msgsnd(self.queue, struct.pack("q", kind) + text, len(text), IPC_NOWAIT), "msgsnd")
            self.messages.append((kind, text))
        elif self.messages:
            buffer = ctypes.create_string_buffer(1000)
            size = made(libc.msgrcv(self.queue, buffer, 900, ctypes.c_long(0), IPC_NOWAIT), "msgrcv")
            got = (struct.unpack_from("q", buffer.raw)[0], buffer.raw[8 : 8 + size])
            assert got == self.messages.pop(0), "a message of System V has changed"

    def check(self):
        assert libc.semctl(self.sem, 0, GETVAL) == self.value
        for at, word in self.words.items():
            assert ctypes.c_long.from_address(at).value == word, "a segment has changed"

    def end(self):
        libc.semctl(self.sem, 0, IPC_RMID)
        libc.msgctl(self.queue, IPC_RMID, None)


class TimerFile(Quiet):
    """A timerfd that ticks, and one that will not for long."""

    def __init__(self, rng):
        self.clock = rng.choice([time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME, time.CLOCK_REALTIME])
        self.fast, self.slow = (made(libc.timerfd_create(self.clock, os.O_NONBLOCK), "timerfd") for _ in range(2))
        libc.timerfd_settime(self.fast, 0, struct.pack("qqqq", 0, 10_000_000, 0, 10_000_000), None)
        self.ends = time.monotonic() + 5000
        libc.timerfd_settime(self.slow, 0, struct.pack("qqqq", 0, 0, 5000, 0), None)

    def step(self, rng):
        try:
            assert struct.unpack("Q", os.read(self.fast, 8))[0] > 0
        except BlockingIOError:
            pass

    def check(self):
        assert select.select([self.fast], [], [], 5)[0], "a timer has stopped"
        setting = ctypes.create_string_buffer(32)
        libc.timerfd_gettime(self.slow, setting)
        _, _, seconds, nanoseconds = struct.unpack("qqqq", setting.raw)
        late = seconds + nanoseconds / 1e9 - (self.ends - time.monotonic())
        # A clock that anybody may set goes on while the program stands still.
        assert late < 0.5 and (self.clock == time.CLOCK_REALTIME or late > -0.5), f"a timer is off by {late} s"


class Elsewhere(Quiet):
    """A child in namespaces of its own."""

    # Not of IPC: a segment that is attached stays with the namespace that is left.
    FLAGS = {"uts": 0x04000000, "net": 0x40000000, "mnt": 0x00020000}

    def __init__(self, rng):
        self.flags = sum(flag for flag in self.FLAGS.values() if rng.random() < 0.5)
        to_child, to_parent = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(to_child[1])
            os._exit(self.live(to_child[0], to_parent[1]))
        os.close(to_child[0])
        os.close(to_parent[1])
        self.ask, self.answer = to_child[1], to_parent[0]
        assert os.read(self.answer, 1) == b"r", "a child in namespaces did not come up"

    def live(self, orders, answers):
        made(libc.unshare(self.flags), "unshare")
        uts, name = self.flags & self.FLAGS["uts"], f"stress{os.getpid()}"
        if uts:
            socket.sethostname(name)
        if self.flags & self.FLAGS["mnt"]:
            made(libc.mount(None, b"/", None, 0x44000, None), "private")
            made(libc.mount(b"stress", b"/mnt", b"tmpfs", 0, None), "tmpfs")
            with open("/mnt/file", "w") as file:
                file.write(name)
        os.write(answers, b"r")
        while os.read(orders, 1) == b"?":
            good = not uts or socket.gethostname() == name
            if self.flags & self.FLAGS["mnt"]:
                with open("/mnt/file") as file:
                    good = good and file.read() == name
            if self.flags & self.FLAGS["net"]:
                good = good and os.listdir("/proc/self/net") != [] and len(socket.if_nameindex()) == 1
            os.write(answers, b"y" if good else b"n")
        return 0

    def step(self, rng):
        os.write(self.ask, b"?")
        assert os.read(self.answer, 1) == b"y", "a child's namespaces have changed"

    def end(self):
        # Not by closing it: children that were forked later have it too.
        os.write(self.ask, b".")
        assert os.waitpid(self.pid, 0) == (self.pid, 0)


class Shell(Quiet):
    """A session with a terminal of its own, and a program in it that answers."""

    def __init__(self, rng):
        pid, self.master = os.forkpty()
        if pid == 0:
            os.execv("/bin/sh", ["sh", "-c", "stty -echo -onlcr; echo ready; while read line; do echo $line; done"])
        self.pid = pid
        self.rest = b""
        assert self.line() == b"ready", "a shell did not come up"

    def line(self):
        while b"\n" not in self.rest:
            assert select.select([self.master], [], [], 60)[0], f"a shell does not answer; it said {self.rest!r}"
            self.rest += os.read(self.master, 4096)
        line, self.rest = self.rest.split(b"\n", 1)
        return line.rstrip(b"\r")

    def step(self, rng):
        word = b"%d" % rng.randrange(10**9)
        os.write(self.master, word + b"\n")
        answer = self.line()
        assert answer == word, f"a shell answered {answer!r} to {word!r}"

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        assert os.waitpid(self.pid, 0) == (self.pid, signal.SIGKILL)
        os.close(self.master)


class SignalFile(Quiet):
    """A signalfd, with what is in it."""

    def __init__(self, rng):
        self.number = signal.SIGRTMIN + rng.randrange(21, 28)
        signal.pthread_sigmask(signal.SIG_BLOCK, [self.number])
        self.fd = made(libc.signalfd(-1, struct.pack("Q", 1 << (self.number - 1)), os.O_NONBLOCK), "signalfd")
        self.model = []

    def step(self, rng):
        if rng.random() < 0.5 and len(self.model) < 10:
            self.model.append(rng.randrange(1 << 20))
            made(libc.sigqueue(os.getpid(), int(self.number), ctypes.c_void_p(self.model[-1])), "sigqueue")
        elif self.model:
            told = os.read(self.fd, 128)
            number, _, code, pid = struct.unpack_from("IiiI", told)
            value = struct.unpack_from("i", told, 44)[0]
            expected = self.model.pop(0)
            assert (number, pid, value) == (self.number, os.getpid(), expected), f"{number} {code} {pid} {value}"

    def check(self):
        assert bool(select.select([self.fd], [], [], 0)[0]) == bool(self.model)


MORE_KINDS = [ComingAndGoing, Children, Program, Udp, Backlog, Fifo, Events, Watched, MemoryFile, SystemV, TimerFile]
MORE_KINDS += [Elsewhere, Shell, SignalFile]
