"""Sessions and bodies of one client that follows no rules: memory and time are bounded, others are served."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path

import psutil
import pytest

from tests.e2e import test_hostile_events as hostile
from tests.e2e.test_hostile_logs import answers, end
from tests.support.clients import ConnectFailed
from tests.support.forked import Process
from tests.support.poll_connection import PollConnection, open_connection
from tests.support.ports import free_port
from tests.support.py_clients import PyClient
from tests.support.timing import LIMIT_S, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

APP = """
import zmqio

io = zmqio.Server(
    adapter=None,
    body_timeout_s=1,
    body_min_bytes_per_s=1_000_000,
    first_packet_timeout_s=3,
    max_sessions_per_address=1_000,
)
app = io.asgi()


@io.on("state")
async def state(socket):
    return {"sessions": io.health().details["sessions"], **io.health().details["counters"]["engine"]}
"""
BODY_BYTES = 999_999
BODIES = 40
MOST_GROWTH = 100 << 20
SESSIONS = 1_300
LARGE_HEAD = f"X-Large: {'x' * 15_000}"
QUERY = "EIO=4&transport=polling"


def spawn(way: str, folder: Path, port: int, app: str) -> Process:
    """Start a host of an app."""
    return hostile.spawn(way, folder, port, app)


@asynccontextmanager
async def running(way: str, folder: Path, app: str = APP) -> AsyncIterator[tuple[int, list[psutil.Process]]]:
    """A host of an app; its port and all its processes."""
    port = free_port()
    process = spawn(way, folder, port, app)
    family = [psutil.Process(process.pid)]
    try:
        url = f"http://127.0.0.1:{port}"
        await wait_until(lambda: answers(url) or process.poll() is not None, "an answer")
        family += family[0].children(recursive=True)
        yield port, family
    finally:
        process.terminate()
        await asyncio.to_thread(end, process, family)


async def open_session(connection: PollConnection) -> str:
    """Open a session; return its id."""
    return (await connection.get(QUERY)).text.split('"')[3]


async def connect_when_possible(url: str) -> PyClient:
    """Connect an official client as soon as the host takes one more session."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            client = PyClient(url, "websocket")
            try:
                # python-socketio does not notice that its session ends before it has joined.
                await asyncio.wait_for(client.connect(), LIMIT_S / 6)
            except (ConnectFailed, TimeoutError):
                await client.end()
            else:
                return client


@pytest.mark.parametrize("way", hostile.WAYS)
async def test_bodies_that_never_end_are_freed_and_their_sessions_closed(way: str, tmp_path: Path) -> None:
    # The bodies are what ends the sessions, also if they take long to arrive.
    app = APP.replace("first_packet_timeout_s=3", "first_packet_timeout_s=100")
    async with running(way, tmp_path, app) as (port, family):
        before = hostile.memory(family)

        async def attack() -> None:
            # With bytes that it has not read, uvicorn resets the connection: the answer may be lost.
            reset = suppress(ConnectionError) if way == "uvicorn" else nullcontext()
            async with open_connection(port) as connection:
                sid = await open_session(connection)
                connection.request(f"{QUERY}&sid={sid}", "Content-Length: 1000000", method="POST")
                connection.send(bytes(BODY_BYTES))
                with reset:
                    answer = await connection.answer()
                    assert (answer.status, answer.headers["connection"]) == (408, "close")
                    assert await connection.ended()

        await asyncio.gather(*[attack() for _ in range(BODIES)])
        assert hostile.memory(family) - before < MOST_GROWTH
        other = PyClient(f"http://127.0.0.1:{port}", "websocket")
        await other.connect()
        state = await other.call("state")
        assert state["bodies_timed_out"] == BODIES
        assert state["sessions"] <= 2  # this client's, and the one of `answers`
        await other.end()


@pytest.mark.parametrize("way", hostile.WAYS)
async def test_unknown_session_is_refused_before_its_body_arrives(way: str, tmp_path: Path) -> None:
    async with running(way, tmp_path) as (port, _), open_connection(port) as connection:
        connection.request(f"{QUERY}&sid={'x' * 20}", "Content-Length: 1000000", method="POST")
        answer = await connection.answer()
        assert (answer.status, '"code":1' in answer.text) == (400, True)


@pytest.mark.parametrize("way", hostile.WAYS)
async def test_sessions_without_connect_keep_to_their_number_and_end_soon(way: str, tmp_path: Path) -> None:
    async with running(way, tmp_path) as (port, family), open_connection(port) as connection:
        before = hostile.memory(family)
        statuses: Counter[int] = Counter()
        for _ in range(SESSIONS):
            connection.request(QUERY, LARGE_HEAD)
            answer = await connection.answer()
            statuses[answer.status] += 1
            if answer.status == 503:
                assert "1000 (max_sessions_per_address)" in answer.text
                break
        async with open_connection(port) as other:
            other.request(QUERY, "X-Forwarded-For: 10.0.0.9")
            assert (await other.answer()).status == 200
            other.request(QUERY, f"X-Other: {'x' * 20_000}", "X-Forwarded-For: 10.0.0.9")
            assert (await other.answer()).status == 431
        assert hostile.memory(family) - before < MOST_GROWTH
        url = f"http://127.0.0.1:{port}"
        client = await connect_when_possible(url)
        async with asyncio.timeout(LIMIT_S):
            while (state := await client.call("state"))["sessions"] > 2:
                pass
        assert state["sessions_expired"] >= min(statuses[200], 1_000) - 1
        await client.end()
