"""Events, auth and connect handlers of one client: memory and tasks are bounded, and freed when it goes."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.test_hostile_logs import ROOT, answers, end, kill_all
from tests.support.cluster import process_environment
from tests.support.forked import Process, start
from tests.support.ports import free_port
from tests.support.py_clients import PyClient
from tests.support.timing import LIMIT_S, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

APP = """
import asyncio, json
import zmqio

io = zmqio.Server(adapter=None)
app = io.asgi()
state = {"hanging": 0, "values": []}


@io.on("slow")
async def slow(socket, *args):
    await asyncio.sleep(1_000_000)


@io.on("ask")
async def ask(socket):
    await socket.emit_with_ack("question")


@io.on("note")
async def note(socket, value):
    state["values"].append(repr(value))


@io.on("state")
async def tell(socket):
    counters = io.health().details["counters"]["server"]
    return {**state, "pauses": counters.get("pending_events_too_large", 0)}


@io.of("/hang").on("connect")
async def hang(socket):
    state["hanging"] += 1
    try:
        await asyncio.sleep(1_000_000)
    finally:
        state["hanging"] -= 1
"""
CLASSES = ["--ws", "zmqio.uvicorn:WebSocketProtocol", "--http", "zmqio.uvicorn:HttpProtocol"]
WAYS = {
    "uvicorn": ["-m", "uvicorn", "own_app:app", "--port", "{port}", "--no-access-log"],
    "classes": ["-m", "uvicorn", "own_app:app", "--port", "{port}", "--no-access-log", *CLASSES],
    "serve": ["-m", "zmqio", "serve", "own_app:app", "--workers", "1", "--bind", "127.0.0.1:{port}"],
}
EVENTS = 40
EMPTY_LISTS = f"[{'[],' * 300_000}[]]"
"""900 KB of text that take 24 MB once they are decoded."""
MOST_GROWTH = 150 << 20


def spawn(way: str, folder: Path, port: int, app: str = APP, more: Sequence[str] = ()) -> Process:
    """Start a host of `app`."""
    (folder / "own_app.py").write_text(app)
    return start(
        [sys.executable, *(word.format(port=port) for word in WAYS[way]), *more],
        cwd=folder,
        env=process_environment() | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )


@asynccontextmanager
async def running(
    way: str, folder: Path, *more: str, app: str = APP
) -> AsyncIterator[tuple[str, list[psutil.Process]]]:
    """A host of `app`, with more options; its address and all its processes."""
    port = free_port()
    process = spawn(way, folder, port, app, more)
    url = f"http://127.0.0.1:{port}"
    family = [psutil.Process(process.pid)]
    try:
        await wait_until(lambda: answers(url) or process.poll() is not None, "an answer")
        family += family[0].children(recursive=True)
        yield url, family
    finally:
        kill_all(family)  # a regular stop waits for handlers that sleep
        await asyncio.to_thread(end, process, family)


@asynccontextmanager
async def raw_client(url: str, auth: str = "") -> AsyncIterator[ClientConnection]:
    """A WebSocket that has joined `/`."""
    address = f"ws{url.removeprefix('http')}/socket.io/?EIO=4&transport=websocket"
    async with connect(
        address, compression=None, max_size=None, open_timeout=LIMIT_S, close_timeout=0.1
    ) as socket:
        await socket.recv()
        await socket.send(f"40{auth}")
        assert str(await socket.recv()).startswith("40{")
        try:
            yield socket
        finally:
            # Otherwise a server that has stopped reading is waited for until a ping times out, after 20 s.
            socket.transport.abort()


def memory(family: list[psutil.Process]) -> int:
    """Bytes that the processes have in memory."""
    return sum(process.memory_info().rss for process in family)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("first", ["slow", "ask"])
async def test_pending_events_of_one_client_keep_to_their_memory(way: str, first: str, tmp_path: Path) -> None:
    async with running(way, tmp_path) as (url, family):
        other = PyClient(url, "websocket")
        await other.connect()
        before = memory(family)

        async def attack() -> None:
            async with raw_client(url) as socket:
                await socket.send(f'42["{first}"]')
                for _ in range(EVENTS):
                    await socket.send(f'42["slow",{EMPTY_LISTS}]')
                await asyncio.sleep(1_000)

        attacking = asyncio.create_task(attack())
        async with asyncio.timeout(LIMIT_S):
            while not (await other.call("state"))["pauses"]:
                pass
        for _ in range(50):
            await other.call("state")
        assert memory(family) - before < MOST_GROWTH
        attacking.cancel()
        await asyncio.gather(attacking, return_exceptions=True)
        for _ in range(50):
            await other.call("state")
        assert memory(family) - before < MOST_GROWTH
        await other.end()


@pytest.mark.parametrize("way", WAYS)
async def test_values_that_cannot_be_sent_reach_no_handler(way: str, tmp_path: Path) -> None:
    deep = "[" * 200 + "]" * 200
    async with running(way, tmp_path) as (url, _):
        for value in ("1e999", "-1e999", "NaN", "Infinity", "9" * 400, deep):
            async with raw_client(url) as socket:
                await socket.send(f'42["note",{value}]')
                async with asyncio.timeout(LIMIT_S):
                    await socket.wait_closed()
        async with raw_client(url) as socket:
            await socket.send('42["note",1e308]')
            await socket.send('421["state"]')
            assert json.loads(str(await socket.recv())[3:])[0]["values"] == ["1e+308"]


@pytest.mark.parametrize("way", WAYS)
async def test_large_auth_is_refused_and_hanging_connect_handlers_end_with_their_clients(
    way: str, tmp_path: Path
) -> None:
    async with running(way, tmp_path) as (url, _), raw_client(url) as watching:
        async with raw_client(url) as socket:
            await socket.send(f"40/hang,{json.dumps({'token': 'x' * 900_000})}")
            assert "auth takes more than 32768 bytes" in str(await socket.recv())
            await socket.send("40/hang,")

            async def hanging() -> int:
                await watching.send('421["state"]')
                while not str(answer := await watching.recv()).startswith("431"):
                    pass
                return int(json.loads(str(answer)[3:])[0]["hanging"])

            async with asyncio.timeout(LIMIT_S):
                while await hanging() != 1:
                    pass
        async with asyncio.timeout(LIMIT_S):
            while await hanging() != 0:
                pass
