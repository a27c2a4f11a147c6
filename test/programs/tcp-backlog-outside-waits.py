"""A client outside of the set waits to be accepted by a server that does nothing about it.

kmonte-refuses: TCP_PENDING_CONNECTIONS
"""

import os
import socket

from kmonte_test import listener, passed, ready_and_wait, until

server = listener()
address = server.getsockname()
if os.fork() == 0:
    if os.fork() == 0:
        server.close()
        os.setsid()
        client = socket.create_connection(address)
        open("waiting", "w").close()
        client.settimeout(20)
        client.sendall(b"word")
        with open("heard.new", "wb") as file:
            file.write(client.recv(4))
        os.rename("heard.new", "heard")
    os._exit(0)
os.wait()
until(lambda: os.path.exists("waiting"), "the client")
ready_and_wait()
connection, _ = server.accept()
connection.sendall(connection.recv(4))
until(lambda: os.path.exists("heard"), "the answer")
assert open("heard").read() == "word"
passed()
