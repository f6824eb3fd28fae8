"""`serve` closes the app's connections before uvicorn shuts down; run in a child process that gets the signals."""

import gc
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import IO

import pytest

from tests.support.timing import LIMIT_S
from zmqio.hosting.server import freeze_heap
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
    print("connections close, on", type(asyncio.get_running_loop()).__module__, flush=True)
    assert gc.get_freeze_count()
    if "slowly" in sys.argv:
        try:
            await asyncio.Event().wait()
        finally:
            print("at once", flush=True)

run(serve(app, listener=listener, before_shutdown=before_shutdown))
"""


def test_app_is_served_and_closes_its_connections_before_the_lifespan_ends() -> None:
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
    assert lines[:3] == ["something else", "connections close, on uvloop", "lifespan ends"]
    assert "socket.send() raised exception." not in output  # one line per write when many clients leave


def test_second_signal_closes_the_connections_at_once() -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, "slowly"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        _get(port)
        process.send_signal(signal.SIGTERM)
        _skip_to(process.stdout, "connections close, on uvloop")
        _get(port)  # still served
        time.sleep(REPEAT_AFTER_S)  # until then it counts as the same request
        process.send_signal(signal.SIGTERM)
        _skip_to(process.stdout, "at once")
        output, _ = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.wait()
    assert "lifespan ends" in output


@pytest.fixture
def collector() -> Iterator[None]:
    """Undo what is changed of the garbage collector."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize(
    ("before", "after"),
    [((700, 10, 10), (700, 10, 50)), ((2000, 10, 10), (2000, 10, 17)), ((700, 10, 5),) * 2, ((0, 10, 10),) * 2],
)
def test_full_collections_are_made_rare_unless_the_application_has_chosen(before, after) -> None:
    gc.set_threshold(*before)
    freeze_heap()
    assert gc.get_threshold() == after


@pytest.mark.usefixtures("collector")
def test_frozen_objects_are_not_examined_by_the_collector() -> None:
    kept = [[number] for number in range(1000)]
    freeze_heap()
    try:
        assert gc.get_freeze_count() > len(kept)
        assert not any(each is kept for each in gc.get_objects())
    finally:
        gc.unfreeze()
    assert any(each is kept for each in gc.get_objects())


def _get(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=LIMIT_S) as response:
        assert response.read() == b"served"


def _skip_to(output: IO[str], line: str) -> None:
    for found in output:
        if found == line + "\n":
            return
    raise AssertionError(f"the output ended without {line!r}")
