"""Uvicorn on connections that another process has accepted: served, and counted when they close."""

import signal
import socket
import subprocess
import sys
import threading

from tests.support.timing import LIMIT_S

PROGRAM = """
import asyncio, gc, socket, sys
from zmqio.hosting.options import HttpOptions
from zmqio.hosting.accepted_server import AcceptedServer
from zmqio.hosting.event_loop import run

listener = socket.create_server(("127.0.0.1", 0))
listener.setblocking(False)

def say(*words):
    print(*words, flush=True)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    else:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": b"served"})

def started():
    say(listener.getsockname()[1], type(asyncio.get_running_loop()).__module__)
    asyncio.get_running_loop().add_reader(listener, take)

def take():
    sources.append(sources.pop(0))  # in turn
    sources[1].serve(listener.accept()[0])

async def before_shutdown():
    say("before shutdown", "frozen" if gc.get_freeze_count() else "not frozen")

server = AcceptedServer(app, HttpOptions(), on_started=started, before_shutdown=before_shutdown)
sources = [server.add_source(lambda count, n=n: say("closed", count, "of", n)) for n in (1, 2)]
work = server.serve()
asyncio.run(work) if sys.argv[1] == "asyncio" else run(work)
"""

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def wait_for_line(process: "subprocess.Popen[str]", wanted: str) -> None:
    """Read lines up to the wanted one; fail if the process ends before, or is killed after the time limit."""
    assert process.stdout is not None
    limit = threading.Timer(LIMIT_S, process.kill)
    limit.start()
    try:
        while line := process.stdout.readline():
            if line == f"{wanted}\n":
                return
        raise AssertionError(f"the process never printed {wanted!r}")
    finally:
        limit.cancel()


def check(loop: str) -> None:
    command = [sys.executable, "-c", PROGRAM, loop]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port, module = process.stdout.readline().split()
        assert module.startswith(loop)
        plain, upgraded = (socket.create_connection(("127.0.0.1", int(port)), LIMIT_S) for _ in range(2))
        with plain, upgraded:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert plain.recv(4096).startswith(b"HTTP/1.1 200")
            upgraded.sendall(UPGRADE)
            assert upgraded.recv(4096).startswith(b"HTTP/1.1 101")
            plain.close()
            wait_for_line(process, "closed 1 of 1")
            upgraded.close()
            wait_for_line(process, "closed 1 of 2")  # an upgrade counts as one connection
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=LIMIT_S)
        assert "before shutdown frozen" in rest
    finally:
        process.kill()
        process.wait()


def test_connections_are_served_and_counted_on_uvloop() -> None:
    check("uvloop")


def test_connections_are_served_and_counted_on_asyncio() -> None:
    check("asyncio")
