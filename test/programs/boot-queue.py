#!/usr/bin/python3
"""A message queue of POSIX in the machine's own IPC namespace, which a boot takes away."""
# kmonte-shows: ipc/named-mqueue
# kmonte-between: python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL("librt.so.1").mq_unlink(b"/kmonte-boot-'"$1"'"))'
import ctypes, os, signal, sys

librt = ctypes.CDLL("librt.so.1", use_errno=True)
name = b"/kmonte-boot-%d" % os.getpid()


class Attributes(ctypes.Structure):
    _fields_ = [(n, ctypes.c_long) for n in ("flags", "most", "size", "now")] + [("reserved", ctypes.c_long * 4)]


def check(good, text):
    if not good:
        print("FAIL:", text, os.strerror(ctypes.get_errno()), flush=True)
        sys.exit(1)


told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
os.umask(0)
queue = librt.mq_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o624, ctypes.byref(Attributes(0, 4, 50, 0)))
writer = librt.mq_open(name, os.O_WRONLY | os.O_NONBLOCK)
check(queue >= 0 and writer >= 0, "mq_open")
check(librt.mq_send(queue, b"low", 3, 1) == 0 and librt.mq_send(queue, b"high", 4, 7) == 0, "mq_send")
print("READY", flush=True)
while not told:
    signal.pause()
check(os.fstat(queue).st_mode & 0o777 == 0o624, "mode")
for text, priority in ((b"high", 7), (b"low", 1)):
    bytes, got = ctypes.create_string_buffer(50), ctypes.c_uint()
    length = librt.mq_receive(queue, bytes, 50, ctypes.byref(got))
    check(bytes.raw[:length] == text and got.value == priority, "mq_receive")
check(librt.mq_send(writer, b"new", 3, 0) == 0, "the other descriptor")
again = librt.mq_open(name, os.O_RDONLY)
bytes = ctypes.create_string_buffer(50)
check(librt.mq_receive(again, bytes, 50, None) == 3, "by its name")
check(librt.mq_unlink(name) == 0, "mq_unlink")
print("PASS", flush=True)
