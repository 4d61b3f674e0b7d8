#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An echo server whose established connection moves to another network namespace, as CRIU moves one (tcp(7), TCP_REPAIR).

serve ADDRESS PORT STATE    accepts one connection and echoes; on SIGUSR1 writes its state and ends without a FIN
resume STATE                puts the connection back, and goes on in the same way
talk ADDRESS PORT           sends each line of its input, and prints what comes back
"""
import json
import signal
import socket
import sys

TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ = 19, 20, 21
RECV, SEND = 1, 2


def echo(sock):
    while True:
        data = sock.recv(4096)
        if not data:
            return
        sock.sendall(data)


def sequence(sock, queue, value=None):
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, queue)
    if value is None:
        return sock.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ) & 0xFFFFFFFF
    sock.setsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ, value if value < 2**31 else value - 2**32)


def dump_on_signal(sock, path):
    """On SIGUSR1."""

    def dump(*_):
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        state = {
            "own": sock.getsockname(),
            "peer": sock.getpeername(),
            "receive": sequence(sock, RECV),
            "send": sequence(sock, SEND),
        }
        with open(path, "w", encoding="utf-8") as out:
            json.dump(state, out)
        sock.close()
        sys.exit(0)

    signal.signal(signal.SIGUSR1, dump)


def serve(address, port, path):
    with socket.create_server((address, port)) as server:
        print("ready", flush=True)
        sock, _ = server.accept()
    dump_on_signal(sock, path)
    echo(sock)


def resume(path):
    with open(path, encoding="utf-8") as given:
        state = json.load(given)
    with socket.socket() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sequence(sock, RECV, state["receive"])
        sequence(sock, SEND, state["send"])
        sock.bind(tuple(state["own"]))
        sock.connect(tuple(state["peer"]))
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 0)
        dump_on_signal(sock, path)
        print("ready", flush=True)
        echo(sock)


def talk(address, port):
    with socket.create_connection((address, port), timeout=30) as sock:
        print("connected", flush=True)
        for line in sys.stdin:
            sock.sendall(line.encode())
            print(sock.recv(4096).decode().strip(), flush=True)


if __name__ == "__main__":
    command, arguments = sys.argv[1], sys.argv[2:]
    if command == "serve":
        serve(arguments[0], int(arguments[1]), arguments[2])
    elif command == "resume":
        resume(arguments[0])
    else:
        talk(arguments[0], int(arguments[1]))
