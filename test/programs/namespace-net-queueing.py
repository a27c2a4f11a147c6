# kmonte-refuses: NET_QDISC
# kmonte-shows: net/namespace
"""A network namespace whose device has a queueing discipline that somebody set up."""
import ctypes, signal, subprocess

try:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(0x40000000) == 0
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    subprocess.run("ip link add near type veth peer name far && tc qdisc add dev near root tbf rate 1mbit burst 10k latency 70ms", shell=True, check=True)
    print("READY", flush=True)
    signal.sigwait([signal.SIGTERM])
    shown = subprocess.run("tc qdisc show dev near", shell=True, check=True, capture_output=True, text=True).stdout
    assert "tbf" in shown, shown
    print("PASS", flush=True)
except BaseException as error:
    print("FAIL:", repr(error), flush=True)
