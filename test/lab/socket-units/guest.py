"""A service that keeps two connections to the echo service, made once, and notes what it is told over them."""

import socket
import time

connections = [socket.socket(socket.AF_UNIX), socket.socket(socket.AF_INET)]
for connection, address in zip(connections, ["/run/echo/stream", ("127.0.0.1", 7000)]):
    connection.connect(address)
while True:
    answers = []
    for connection in connections:
        connection.sendall(b"who\n")
        answers.append(connection.recv(100).decode().strip())
    # Whoever reads it removes it first.
    with open("/run/guest.log", "a") as log:
        log.write(" ".join(answers) + "\n")
    assert all(answers)
    time.sleep(0.2)
