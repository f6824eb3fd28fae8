"""`zmqio serve` with several acceptors: effects on clients when acceptors or workers are killed."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import ClientMaker
from tests.e2e.test_serve import pid_of
from tests.support.poll_connection import open_connection
from tests.support.serve_process import ServeProcess
from tests.support.timing import wait_until
from zmqio.ids import NodeTag, make_engine_sid

pytestmark = pytest.mark.asyncio(loop_scope="session")

TWO = ("--acceptors", "2")
AT_A_TIME = 8


class Load:
    """A load of new connections with one request each, several at a time.

    Attributes:
        pids: process id -> number of its responses.
        failures: the errors.
    """

    def __init__(self, server: ServeProcess) -> None:
        self.pids: Counter[int] = Counter()
        self.failures: list[Exception] = []
        self._server = server

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            try:
                self.pids[await pid_of(self._server)] += 1
            except Exception as error:
                self.failures.append(error)

    async def goes_on(self, count: int = 50) -> None:
        """Wait for that many more responses."""
        wanted = self.pids.total() + count
        await wait_until(lambda: self.pids.total() >= wanted, "requests are answered")


@asynccontextmanager
async def load(server: ServeProcess) -> AsyncIterator[Load]:
    made = Load(server)
    tasks = [asyncio.ensure_future(made.run()) for _ in range(AT_A_TIME)]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def acceptor_pids(server: ServeProcess) -> list[int]:
    return [line["pid"] for line in server.log_lines("acceptor_started")]


def waiting_at(port: int) -> int:
    """The number of connections from this machine to a port."""
    found = psutil.net_connections("tcp")
    return sum(bool(each.raddr) and each.raddr.port == port and each.status == "ESTABLISHED" for each in found)


async def test_killed_acceptor_is_replaced_and_connected_clients_are_unaffected(make_client: ClientMaker) -> None:
    async with ServeProcess(*TWO) as server:
        clients = [make_client("js", server.url, way) for way in ("websocket", "websocket", "upgrade", "upgrade")]
        await asyncio.gather(*(client.connect() for client in clients))
        await wait_until(lambda: all(client.received.upgrades for client in clients[2:]), "they have upgraded")
        homes = [await client.call("whoami") for client in clients]
        async with load(server) as requests:
            for number in (0, 1):  # the second when the first is replaced
                await requests.goes_on()
                psutil.Process(acceptor_pids(server)[number]).kill()
                await server.wait_log("acceptor_started", 3 + number)
                await requests.goes_on()
            # At most the connections that the dead acceptor had accepted and not passed on.
            assert len(requests.failures) <= 2 * AT_A_TIME, requests.failures
            await wait_until(lambda: set(requests.pids) == set(server.worker_pids()), "both workers get requests")
        assert [await client.call("whoami") for client in clients] == homes
        assert not any(client.received.disconnects for client in clients)
        assert len(server.worker_pids()) == 2
        ended = server.log_lines("acceptor_exited")
        assert [line["pid"] for line in ended] == acceptor_pids(server)[:2]
        assert {line["exit_status"] for line in ended} == {f"killed by {signal.SIGKILL.name}"}
        server.children()
        folder = Path(server.broker.removeprefix("ipc://")).parent
        assert folder.exists()
        assert await server.stop() == 0
        assert server.orphans() == []
        assert not folder.exists()


async def test_connections_queued_for_dead_acceptors_are_served_by_their_successors() -> None:
    async with ServeProcess(*TWO) as server:
        acceptors = [psutil.Process(pid) for pid in acceptor_pids(server)]
        for acceptor in acceptors:
            acceptor.suspend()
            await wait_until(
                lambda acceptor=acceptor: acceptor.status() == psutil.STATUS_STOPPED, "its suspension"
            )  # type: ignore[misc]
        requests = [asyncio.ensure_future(pid_of(server)) for _ in range(20)]
        await wait_until(lambda: waiting_at(server.port) == len(requests), "all are connected")
        assert not any(request.done() for request in requests)
        for acceptor in acceptors:
            acceptor.kill()
        assert set(await asyncio.gather(*requests)) <= set(server.worker_pids())


async def test_every_acceptor_stops_choosing_a_killed_worker() -> None:
    async with ServeProcess(*TWO, workers=3) as server:
        first, *others = server.worker_pids()
        async with load(server) as requests:
            await requests.goes_on()
            psutil.Process(first).kill()
            await server.wait_log("worker_exited")
            await requests.goes_on()
            failed = len(requests.failures)
            assert failed <= 2 * AT_A_TIME, requests.failures
            requests.pids.clear()
            await requests.goes_on()
            assert first not in requests.pids
            await server.wait_ready(4)
            survivors = {*others, server.worker_pids()[3]}
            await wait_until(lambda: survivors <= set(requests.pids), "every worker gets requests")
            assert set(requests.pids) == survivors
            assert len(requests.failures) == failed


async def test_every_acceptor_knows_the_owner_and_spreads_the_rest() -> None:
    async with ServeProcess("--acceptors", "3", workers=3) as server:
        tags = {NodeTag(line["tag"]): line["pid"] for line in server.log_lines("worker_started")}
        assert len(set(acceptor_pids(server))) == 3
        assert server.log_lines("server_started")[0]["acceptors"] == 3
        for tag, pid in tags.items():
            for _ in range(20):  # each over a connection that the kernel gives to any of them
                async with open_connection(server.port, path="/") as connection:
                    assert f'"pid": {pid}' in (await connection.get(f"sid={make_engine_sid(tag)}")).text
        homes = Counter([await pid_of(server) for _ in range(60)])
        assert set(homes) == set(tags.values()) or server.log_lines("worker_stalled")
        assert await server.stop() == 0
        (stopped,) = server.log_lines("server_stopped")
        assert stopped["connections_accepted"] == stopped["connections_passed"] == 120


async def test_second_server_on_the_port_fails_with_port_in_use() -> None:
    async with ServeProcess(*TWO, workers=1) as server:
        bind = f"127.0.0.1:{server.port}"
        other = ServeProcess(*TWO, workers=1, bind=bind)
        other.spawn()
        try:
            assert await other.wait() == 1
            assert other.log_text() == f"Error: cannot listen on {bind}: Address already in use\n"
        finally:
            await other.close()
        await pid_of(server)
