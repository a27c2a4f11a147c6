"""A service with a bit of everything, asked line by line at the TCP port $PORT, if there is one."""
import os, pwd, signal, socket, threading, time

state = {"count": 0, "pings": 0, "reloads": 0, "hangs": False, "peer": 0, "connects": 0, "bus": "none"}


def first(name):
    return os.environ.get(name, "").split(":")[0]


PLACES = {name: first(f"{name}_DIRECTORY") for name in ("STATE", "RUNTIME", "CACHE")}
PLACES = {**{name: path for name, path in PLACES.items() if path}, "TMP": "/tmp", "VARTMP": "/var/tmp"}
kept = {name: open(f"{path}/kept-{os.getpid()}", "a+") for name, path in PLACES.items()}
# Shared memory of the user: systemd counts its owner's id as taken (DynamicUser=).
shared = open(f"/dev/shm/lab-{os.getpid()}", "a+")

notify_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


def notify(text):
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        notify_socket.sendto(text.encode(), "\0" + address[1:] if address[0] == "@" else address)


def ping():
    seconds = int(os.environ.get("WATCHDOG_USEC", "0")) / 3e6
    while seconds and os.environ["WATCHDOG_PID"] == str(os.getpid()):
        time.sleep(seconds)
        if not state["hangs"]:
            notify("WATCHDOG=1")
            state["pings"] += 1


def reload(*_):
    notify("RELOADING=1\nMONOTONIC_USEC=%d" % (time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000))
    state["reloads"] += 1
    notify("READY=1")


def write(text):
    """Adds to a file by its name and to one that is open, in each folder."""
    for name, path in PLACES.items():
        with open(f"{path}/text", "a") as file:
            file.write(text + "\n")
        kept[name].write(text + "\n")
        kept[name].flush()
    return " ".join(PLACES)


def read():
    found = {}
    for name, path in PLACES.items():
        found[name] = "+".join(open(f"{path}/text").read().split())
        kept[name].seek(0)
        assert found[name].endswith("+".join(kept[name].read().split())), name
    return " ".join(f"{name}={text}" for name, text in found.items())


def user():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return f"{os.getuid()} {os.getgid()} {status['Seccomp'].strip()} {status['NoNewPrivs'].strip()}"


def may_write(path):
    try:
        open(path, "w").close()
        return "yes"
    except OSError as error:
        return error.strerror


def answer(line):
    word, _, rest = line.partition(" ")
    if word == "count":
        state["count"] += 1
    if word == "hang":
        state["hangs"] = True
    if word == "log":
        print(rest, flush=True)
    if word in state:
        return str(state[word])
    answers = {
        "secret": lambda: open(os.environ["CREDENTIALS_DIRECTORY"] + "/token").read().strip(),
        "write": lambda: write(rest),
        "read": read,
        "user": user,
        "may-write": lambda: may_write(rest),
    }
    return answers.get(word, lambda: "done")()


def tell(line):
    try:
        return answer(line)
    except Exception as error:
        return repr(error)


def serve(connection):
    with connection, connection.makefile("rw") as lines:
        for line in lines:
            lines.write(tell(line.strip()) + "\n")
            lines.flush()


def listen(server):
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def talk(port):
    """Asks a unit in the same network for its count, over one connection as long as that lasts."""
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rw") as lines:
                state["connects"] += 1
                while True:
                    lines.write("count\n")
                    lines.flush()
                    state["peer"] = int(lines.readline())
                    time.sleep(0.1)
        except (OSError, ValueError):
            time.sleep(0.1)


def own(name):
    """Has a name on the system bus, and says when the connection is over."""
    import dbus

    bus = dbus.SystemBus()
    bus.set_exit_on_disconnect(False)
    bus.request_name(name)
    state["bus"] = "connected"
    while bus.get_is_connected():
        try:
            bus.get_name_owner(name)
        except dbus.DBusException:
            pass
        time.sleep(0.2)
    state["bus"] = "closed"


def begin(action, *arguments):
    threading.Thread(target=action, args=arguments, daemon=True).start()


signal.signal(signal.SIGHUP, reload)
servers = []
if "PORT" in os.environ:
    servers.append(socket.create_server(("0.0.0.0", int(os.environ["PORT"]))))
if "RUNTIME" in PLACES:
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(PLACES["RUNTIME"] + "/socket")
    unix.listen()
    servers.append(unix)
for one in servers:
    begin(listen, one)
if "PEER" in os.environ:
    begin(talk, int(os.environ["PEER"]))
if "BUS_NAME" in os.environ:
    begin(own, os.environ["BUS_NAME"])
    while state["bus"] == "none":
        time.sleep(0.05)
begin(ping)
notify("READY=1\nSTATUS=serves")
while True:
    signal.pause()
