"""bytes.py tcp|udp HOST PORT: a client over one connection, which is made once. Each line of its input is sent, with \\r\\n
in the place of |, or as bytes in hexadecimal after "x:"; an empty one sends nothing. What comes back is written as one
line, in hexadecimal or not."""

import socket
import sys

kind, host, port = sys.argv[1:]
sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
sock.settimeout(50)
sock.connect((host, int(port)))
for line in sys.stdin:
    text = line.rstrip("\n")
    in_hex = text.startswith("x:")
    sock.settimeout(50)
    sock.sendall(bytes.fromhex(text[2:]) if in_hex else text.replace("|", "\r\n").encode())
    answer = sock.recv(65536)
    if not answer:
        sys.exit("the other end has closed the connection")
    # The rest of it.
    sock.settimeout(0.2)
    try:
        while more := sock.recv(65536):
            answer += more
    except TimeoutError:
        pass
    print(answer.hex() if in_hex else repr(answer)[:2000], flush=True)
