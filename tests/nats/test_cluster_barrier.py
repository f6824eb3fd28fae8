"""Tests of `zmqio.nats.cluster_barrier`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.fake_nats import FakeNats, running_fake_nats
from tests.support.ports import free_port
from tests.support.timing import wait_until
from zmqio.links.resolver import HostResolver
from zmqio.nats.addresses import NatsServer
from zmqio.nats.cluster_barrier import ClusterBarrier
from zmqio.nats.connection import NatsConnection
from zmqio.nats.login import NatsLogin
from zmqio.protocol.nats import NatsInfo

TIMEOUT_S = 0.05


class Node:
    """A node on a fake server: its connection, and the barrier on it."""

    def __init__(self, fake: FakeNats) -> None:
        self.doubts = self.timeouts = 0
        self.connection = NatsConnection(NatsServer("127.0.0.1", fake.port), NatsLogin(), "node", self)
        self.barrier: ClusterBarrier

    async def start(self) -> None:
        await self.connection.open(HostResolver("127.0.0.1"))
        self.barrier = ClusterBarrier(
            self.connection,
            "zmqio",
            NatsLogin(),
            "probe",
            timeout_s=TIMEOUT_S,
            on_doubt=self._doubt,
            on_timeout=self._timed_out,
        )

    def wait(self) -> asyncio.Future[None]:
        waiter = asyncio.get_running_loop().create_future()
        self.barrier.wait(waiter)
        return waiter

    def _doubt(self) -> None:
        self.doubts += 1

    def _timed_out(self) -> None:
        self.timeouts += 1

    def nats_pong(self) -> None:
        self.barrier.pong()

    def nats_message(self, sid: int, subject: bytes, payload: bytes) -> None: ...

    def nats_info(self, info: NatsInfo) -> None: ...

    def nats_fault(self, text: str) -> None: ...

    def nats_closed(self, reason: str) -> None: ...


@asynccontextmanager
async def running_node() -> AsyncIterator[tuple[Node, FakeNats]]:
    async with running_fake_nats(server_id="OWN") as fake:
        node = Node(fake)
        await node.start()
        try:
            yield node, fake
        finally:
            node.barrier.close()
            node.connection.close()


def passing(own: FakeNats, other: FakeNats) -> bool:
    """Pass the numbers that have reached the own server on to the other one's probe; whether there was any."""
    subjects = [line.split(b" ")[1] for line in other.commands(b"SUB")]
    found = False
    for line in own.commands(b"PUB"):
        if line.split(b" ")[1] in subjects:
            other.send(b"MSG %b 1 1\r\n9\r\n" % line.split(b" ")[1])
            found = True
    return found


async def test_barrier_on_one_server_is_a_ping() -> None:
    async with running_node() as (node, fake):
        await asyncio.wait_for(node.wait(), 20)
        assert fake.commands(b"PING") == [b"PING"] * 2  # the first belongs to the login
        assert (node.timeouts, node.barrier.problems) == (0, [])


async def test_requests_while_a_barrier_is_under_way_share_the_next_one() -> None:
    async with running_node() as (node, fake):
        waiters = [node.wait() for _ in range(10)]
        await asyncio.wait_for(asyncio.gather(*waiters), 20)
        assert len(fake.commands(b"PING")) == 3


async def test_server_that_does_not_confirm_delays_one_barrier_and_no_other() -> None:
    async with running_node() as (node, own), running_fake_nats() as other:
        node.barrier.set_servers({NatsServer("127.0.0.1", other.port)})
        await asyncio.wait_for(node.wait(), 20)
        assert node.timeouts == 1
        assert f"127.0.0.1:{other.port} does not confirm" in node.barrier.problems[0]
        await asyncio.wait_for(node.wait(), 20)
        assert node.timeouts == 1
        assert node.doubts == 0
        await wait_until(lambda: passing(own, other) and node.doubts, "the server confirms at last: doubt")
        await wait_until(lambda: node.doubts == 2, "and once more after the next barrier")
        assert node.barrier.problems == []


async def test_own_server_is_awaited_however_long_it_takes() -> None:
    async with running_node() as (node, fake):
        fake.answers = False
        waiter = node.wait()
        await asyncio.sleep(3 * TIMEOUT_S)
        assert not waiter.done()
        node.barrier.close()
        assert waiter.done()


async def test_unreachable_server_is_a_problem_and_not_awaited() -> None:
    async with running_node() as (node, _):
        gone = NatsServer("127.0.0.1", free_port())
        node.barrier.set_servers({gone})
        await wait_until(lambda: node.barrier.problems, "the problem")
        await asyncio.wait_for(node.wait(), 20)
        node.barrier.set_servers(set())
        assert node.barrier.problems == []


async def test_change_of_servers_is_doubt_at_once_and_after_a_barrier() -> None:
    async with running_node() as (node, _):
        node.barrier.servers_changed(set())
        assert node.doubts == 1
        await wait_until(lambda: node.doubts == 2, "the barrier")


async def test_one_ping_is_unanswered_at_most() -> None:
    async with running_node() as (node, fake):
        fake.answers = False
        for _ in range(3):
            node.barrier.ping()
        fake.answers = True
        await wait_until(lambda: len(fake.commands(b"PING")) == 2, "one PING besides that of the login")
