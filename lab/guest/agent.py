#!/usr/bin/python3
"""The lab's hand inside the guest: runs commands that the host sends over a virtio-serial port.

One JSON object per line in both directions. It knows nothing of kmonte, and kmonte nothing of it.
"""

import base64
import glob
import json
import os
import subprocess
import threading
import time

PORT = "kmonte.lab"
lock = threading.Lock()


def find_port():
    while True:
        for name in glob.glob("/sys/class/virtio-ports/*/name"):
            with open(name) as file:
                device = "/dev/" + name.split("/")[-2]
                if file.read().strip() == PORT and os.path.exists(device):
                    return os.open(device, os.O_RDWR | os.O_CLOEXEC)
        time.sleep(0.1)


port = find_port()


def send(message):
    data = (json.dumps(message) + "\n").encode()
    with lock:
        while data:
            data = data[os.write(port, data) :]


def pump(stream, ident, name):
    while chunk := os.read(stream.fileno(), 1 << 16):
        send({"id": ident, name: base64.b64encode(chunk).decode()})


def run(request):
    child = subprocess.Popen(
        request["argv"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | request.get("env", {}),
        cwd="/",
    )
    pumps = [
        threading.Thread(target=pump, args=(stream, request["id"], name))
        for name, stream in (("stdout", child.stdout), ("stderr", child.stderr))
    ]
    for thread in pumps:
        thread.start()
    for thread in pumps:
        thread.join()
    return {"code": child.wait()}


def start(request):
    """Starts a program that nobody waits for: a child of init in a session of its own, output to a file."""
    os.makedirs(os.path.dirname(request["output"]), exist_ok=True)
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    said = f"/run/lab-start-{request['id']}"
    script = 'echo $$ >"$0.new" && mv "$0.new" "$0" && exec "$@"'
    subprocess.run(
        ["setsid", "-f", "sh", "-c", script, said, *request["argv"]],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd="/",
        check=True,
    )
    os.close(output)
    while not os.path.exists(said):
        time.sleep(0.02)
    with open(said) as file:
        pid = int(file.read())
    os.unlink(said)
    return {"pid": pid}


def put(request):
    os.makedirs(os.path.dirname(request["path"]), exist_ok=True)
    with open(request["path"], "wb") as file:
        file.write(base64.b64decode(request["data"]))
    os.chmod(request["path"], request["mode"])
    return {}


def get(request):
    with open(request["path"], "rb") as file:
        while chunk := file.read(1 << 18):
            send({"id": request["id"], "stdout": base64.b64encode(chunk).decode()})
    return {}


def serve(request):
    try:
        action = {"run": run, "start": start, "put": put, "get": get}[request["do"]]
        answer = action(request)
    except Exception as error:  # whatever it is, the host is to hear of it
        answer = {"error": f"{type(error).__name__}: {error}"}
    send({"id": request["id"], "code": 0} | answer)


def main():
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    send({"hello": {"release": os.uname().release, "boot": boot}})
    pending = b""
    while True:
        try:
            chunk = os.read(port, 1 << 16)
        except OSError:
            chunk = b""
        if not chunk:  # the host has not opened its end
            time.sleep(0.05)
            continue
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                threading.Thread(target=serve, args=(json.loads(line),), daemon=True).start()


main()
