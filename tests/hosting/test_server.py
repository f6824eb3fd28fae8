"""`serve`: the app ends its connections before uvicorn waits for them. In a process of its own, for the signal."""

import signal
import subprocess
import sys
import time
import urllib.request
from typing import IO

from tests.support.timing import LIMIT_S
from zmqio.stop_requests import REPEAT_AFTER_S

PROGRAM = """
import asyncio, gc, logging, socket, sys
from zmqio.hosting.event_loop import run
from zmqio.hosting.server import serve

logging.basicConfig(stream=sys.stdout, format="%(message)s")
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        print("lifespan ends", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    for text in ("socket.send() raised exception.", "something else"):
        logging.getLogger("asyncio").warning(text)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})

async def before_shutdown():
    print("connections end, on", type(asyncio.get_running_loop()).__module__, flush=True)
    assert gc.get_freeze_count()
    if "slowly" in sys.argv:
        try:
            await asyncio.Event().wait()
        finally:
            print("at once", flush=True)

run(serve(app, listener=listener, before_shutdown=before_shutdown))
"""


def test_app_is_served_and_told_before_the_shutdown() -> None:
    command = [sys.executable, "-c", PROGRAM]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        _get(port)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.wait()
    lines = output.split("\n")
    assert lines[:3] == ["something else", "connections end, on uvloop", "lifespan ends"]
    assert "socket.send() raised exception." not in output  # one line for each write in a storm of disconnects


def test_second_signal_ends_the_connections_at_once() -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, "slowly"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        _get(port)
        process.send_signal(signal.SIGTERM)
        _skip_to(process.stdout, "connections end, on uvloop")
        _get(port)  # it is served as before
        time.sleep(REPEAT_AFTER_S)  # until then it would be an echo of the first
        process.send_signal(signal.SIGTERM)
        _skip_to(process.stdout, "at once")
        output, _ = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.wait()
    assert "lifespan ends" in output


def _get(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=LIMIT_S) as response:
        assert response.read() == b"served"


def _skip_to(output: IO[str], line: str) -> None:
    for found in output:
        if found == line + "\n":
            return
    raise AssertionError(f"it has ended without {line!r}")
