"""`zmqio serve`, `zmqio emit` and outside publishers over a NATS server that asks for a password."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.conftest import ClientMaker
from tests.support.clients import SocketClient
from tests.support.cluster import process_environment
from tests.support.forked import is_broker
from tests.support.nats_server import NatsServerProcess
from tests.support.serve_process import ServeProcess
from tests.support.timing import LIMIT_S
from tests.support.tools import require

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).parents[2]
PASSWORD = "pass-w0rd"
EMIT = ("-m", "zmqio", "emit", "--timeout", str(LIMIT_S))


@pytest.fixture(scope="module")
def nats_server() -> Iterator[NatsServerProcess]:
    """A server with one user."""
    with NatsServerProcess("--user", "me", "--pass", PASSWORD) as server:
        yield server


@pytest.fixture(scope="module")
def address(nats_server: NatsServerProcess) -> str:
    """Its address with the password."""
    return nats_server.address.replace("://", f"://me:{PASSWORD}@")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served(address: str) -> AsyncIterator[ServeProcess]:
    """Two workers on it."""
    async with ServeProcess("--broker", address) as process:
        await process.wait_log("broker_connected", process.workers)
        yield process


@pytest_asyncio.fixture(loop_scope="session")
async def clients(served: ServeProcess, make_client: ClientMaker) -> list[SocketClient]:
    """A client at each worker, in the room `lobby`."""
    found: dict[int, SocketClient] = {}
    for _ in range(20):
        client = make_client("py", served.url, "websocket")
        await client.connect()
        found.setdefault((await client.call("whoami"))["pid"], client)
        if len(found) == 2:
            break
    assert len(found) == 2
    return list(found.values())


async def run(*command: str, **environment: str) -> None:
    """Run a program to its end."""
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        capture_output=True,
        text=True,
        timeout=3 * LIMIT_S,
        check=False,
        cwd=ROOT,
        env=process_environment() | environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def wait_events(clients: list[SocketClient], *expected: list[object]) -> None:
    """Wait until each client has received these events, in this order."""
    for client in clients:
        assert await client.wait_for("news", len(expected)) == list(expected)


async def test_emit_command_reaches_the_clients_of_all_workers(clients: list[SocketClient], address: str) -> None:
    await run(sys.executable, *EMIT, "news", '"from the command"', ZMQIO_ADAPTER=address)
    await wait_events(clients, ["from the command"])


async def test_stock_client_of_python_publishes(clients: list[SocketClient], address: str) -> None:
    await run(sys.executable, "examples/nats/publish.py", address)
    await wait_events(clients, ["to all, from nats-py"], ["to the lobby, from nats-py"])


async def test_node_publishes_without_a_library(
    clients: list[SocketClient], nats_server: NatsServerProcess
) -> None:
    await run(require("node"), "examples/nats/publish.mjs", "127.0.0.1", str(nats_server.port), "me", PASSWORD)
    await wait_events(clients, ["from Node.js"])


async def test_no_broker_is_started_and_no_password_is_logged(served: ServeProcess) -> None:
    assert not any(is_broker(child) for child in served.children())
    assert PASSWORD not in served.log_text()
    (started,) = served.log_lines("server_started")
    assert started["broker"].startswith("nats://127.0.0.1:")
