"""A program in a terminal that stays outside: standard input and output come back to the same terminal."""
# kmonte-shows: tty/terminal
import os, pty, signal, sys, time

if "inside" not in sys.argv:
    # The terminal's other side is kept by a process of another session, which is not frozen.
    master, slave = pty.openpty()
    os.set_inheritable(slave, True)
    keeper = os.fork()
    if keeper == 0:
        if os.fork() == 0:
            os.setsid()
            os.close(1), os.close(2)  # The slave side stays open here, as with the shell in a terminal window.
            signal.alarm(60)
            data = os.read(master, 100)
            with open("shown", "wb") as file:
                file.write(data)
            os.write(master, b"typed\n")
            time.sleep(30)
        os._exit(0)
    os.wait()
    os.close(master)
    os.environ["SLAVE"] = str(slave)
    os.execv(sys.executable, [sys.executable, __file__, "inside"])

slave = int(os.environ["SLAVE"])
name = os.ttyname(slave)
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
print("READY", flush=True)
while not told:
    signal.pause()
problem = None
if os.ttyname(slave) != name:
    problem = "another terminal: " + os.ttyname(slave)
os.write(slave, b"hello")
if os.read(slave, 100) != b"typed\n":
    problem = "nothing was typed"
if open("shown", "rb").read() != b"hello":
    problem = "nothing was shown"
print("FAIL: " + problem if problem else "PASS", flush=True)
