"""A pipe that a parent outside forgot to keep to itself comes back from that parent; the program never cared."""
# kmonte-shows: pipe/pipe-end
import os, signal, sys

if "inside" not in sys.argv:
    # What is frozen is a process of its own session; a helper outside it keeps the pipe open.
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            os.close(1), os.close(2)
            signal.alarm(60)
            data = os.read(reader, 1)
            # The writing end stays open here as well.
            with open("heard", "wb") as file:
                file.write(data)
            os._exit(0)
        os._exit(0)
    os.wait()
    os.close(reader)
    os.environ["WRITER"] = str(writer)
    os.execv(sys.executable, [sys.executable, __file__, "inside"])

told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
print("READY", flush=True)
while not told:
    signal.pause()
os.write(int(os.environ["WRITER"]), b"x")
for _ in range(200):
    if os.path.exists("heard") and os.path.getsize("heard"):
        break
    signal.sigtimedwait([], 0.01)
print("PASS" if os.path.exists("heard") and open("heard").read() == "x" else "FAIL: nothing was heard", flush=True)
