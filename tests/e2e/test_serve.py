"""`zmqio serve` with real processes: each session stays with its worker, and all processes exit."""

import asyncio
import json
import signal
import socket
from collections import Counter
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import ClientMaker
from tests.support.clients import SocketClient
from tests.support.serve_process import ServeProcess
from tests.support.timing import LIMIT_S, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

APP = "tests.support.serve_app:app"
MOUNTED = "tests.support.serve_mounted:mounted"


@pytest.mark.parametrize(
    ("way", "sticky", "acceptors"),
    [(way, sticky, 1) for way in ("polling", "upgrade") for sticky in ("sid", "address")]
    + [("polling", "sid", 2)],
)
async def test_clients_stay_with_the_worker_that_has_their_session(
    make_client: ClientMaker, way: str, sticky: str, acceptors: int
) -> None:
    async with ServeProcess("--sticky", sticky, "--acceptors", str(acceptors)) as server:
        await server.wait_log("broker_connected", server.workers)
        clients = [make_client("js", server.url, way) for _ in range(12)]
        await asyncio.gather(*(client.connect() for client in clients))
        if way == "upgrade":
            await wait_until(lambda: all(client.received.upgrades for client in clients), "all have upgraded")
        homes = await asyncio.gather(*(client.call("whoami") for client in clients))
        for _ in range(5):
            again = await asyncio.gather(*(client.call("whoami") for client in clients))
            assert [home["pid"] for home in again] == [home["pid"] for home in homes]
        if (sticky, acceptors) == ("sid", 1) and not server.log_lines("worker_stalled"):
            assert min(Counter(home["pid"] for home in homes).values()) >= 3  # the fewest connections get the next
        await clients[0].call("say", "to all workers")
        await wait_until(
            lambda: all(client.received.events == [("said", ["to all workers"])] for client in clients),
            "every client receives it once, through the broker",
        )
        assert not any(client.received.disconnects for client in clients)


async def test_body_of_900_kb_on_polling_reaches_the_worker_whole(make_client: ClientMaker) -> None:
    async with ServeProcess() as server:
        client = make_client("js", server.url, "polling")
        await client.connect()
        text = "x" * 900_000
        assert await client.call("echo", text) == text


@pytest.mark.parametrize(
    ("app", "number", "acceptors"),
    [(app, number, 1) for app in (APP, MOUNTED) for number in (signal.SIGTERM, signal.SIGINT)]
    + [(APP, signal.SIGTERM, 2)],
)
async def test_stop_ends_every_process_with_clients_on_it(
    make_client: ClientMaker, app: str, number: signal.Signals, acceptors: int
) -> None:
    async with ServeProcess("--acceptors", str(acceptors), app=app) as server:
        clients = [make_client("js", server.url, way) for way in ("polling", "polling", "websocket", "websocket")]
        await asyncio.gather(*(client.connect() for client in clients))
        assert len(server.children()) == processes(server, acceptors)
        assert await server.stop(number) == 0
        await wait_until(
            lambda: all(client.received.disconnects for client in clients), "every client was disconnected"
        )
        assert server.orphans() == []
        assert not server.log_lines("worker_killed")
        assert not server.log_lines("acceptor_killed")
        assert not server.log_lines("stop_confirmation_timed_out")
        # A mounted server starts with the first request that its worker gets.
        started, stopped = (
            {line["node_id"] for line in server.log_lines(f"node_{end}")} for end in ("started", "stopped")
        )
        assert started == stopped != set()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))


async def test_killed_worker_is_replaced_and_others_are_unaffected(make_client: ClientMaker) -> None:
    async with ServeProcess() as server:
        first, second = server.worker_pids()
        clients: list[SocketClient] = []
        homes: list[int] = []
        async with asyncio.timeout(LIMIT_S):
            while len(clients) < 6 or len(set(homes)) < 2:  # a worker that stalls for a moment gets no new ones
                client = make_client("js", server.url, "polling")
                await client.connect()
                clients.append(client)
                homes.append((await client.call("whoami"))["pid"])
        psutil.Process(first).kill()
        victims = [client for client, pid in zip(clients, homes, strict=True) if pid == first]
        others = [client for client, pid in zip(clients, homes, strict=True) if pid == second]
        await wait_until(lambda: all(client.received.disconnects for client in victims), "its clients are cut off")
        await server.wait_ready(3)
        replaced = server.worker_pids()[2]
        async with asyncio.timeout(LIMIT_S):
            while await pid_of(server) != replaced:  # it has the fewest connections, once the others poll again
                pass
        assert [(await client.call("whoami"))["pid"] for client in others] == [second] * len(others)
        assert not any(client.received.disconnects for client in others)
        tags = [line["tag"] for line in server.log_lines("worker_started")]
        assert len(set(tags)) == 3  # an old session id never names a new worker


@pytest.mark.parametrize("acceptors", [1, 2])
async def test_all_processes_exit_when_the_parent_is_killed(make_client: ClientMaker, acceptors: int) -> None:
    async with ServeProcess("--acceptors", str(acceptors)) as server:
        client = make_client("js", server.url, "polling")
        await client.connect()
        assert len(server.children()) == processes(server, acceptors)
        psutil.Process(server.pid).kill()
        await wait_until(lambda: not server.orphans(), "workers, acceptors and broker end")


@pytest.mark.parametrize("acceptors", [1, 2])
async def test_rolling_restart_replaces_every_worker_and_refuses_no_request(
    make_client: ClientMaker, acceptors: int
) -> None:
    async with ServeProcess("--acceptors", str(acceptors)) as server:
        old = server.worker_pids()
        clients = [make_client("js", server.url, "websocket", reconnection=True) for _ in range(4)]
        await asyncio.gather(*(client.connect() for client in clients))
        sids = {client.sid for client in clients}
        rolled = asyncio.ensure_future(server.wait_log("rolling_restart_completed"))
        server.send_signal(signal.SIGHUP)
        answers = []
        while not rolled.done():
            answers.append(await pid_of(server))  # a refused or reset connection would raise
        await rolled
        assert answers
        new = server.worker_pids()[2:]
        assert len(new) == 2
        assert not set(new) & set(old)
        assert {await pid_of(server) for _ in range(4)} <= set(new)
        assert {process.pid for process in server.children()} & set(old) == set()
        await wait_until(
            lambda: not any(client.sid in sids for client in clients), "all have reconnected by themselves"
        )
        pids = await asyncio.gather(*(client.call("whoami") for client in clients))
        assert {home["pid"] for home in pids} <= set(new)


def processes(server: ServeProcess, acceptors: int) -> int:
    """The number of started processes: workers, the broker, and acceptors unless the parent itself accepts."""
    return server.workers + 1 + (acceptors if acceptors > 1 else 0)


async def pid_of(server: ServeProcess, path: str = "/") -> int:
    """The worker that answers on a new connection."""
    return int((await request(server, path))["pid"])


async def request(server: ServeProcess, path: str = "/", *headers: str) -> Any:
    """Return the response of the plain part of the app to a GET on a new connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    lines = [f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *headers]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    try:
        async with asyncio.timeout(LIMIT_S):
            answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer
    return json.loads(body)
