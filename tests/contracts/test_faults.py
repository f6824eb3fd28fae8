"""Adapters when nodes die, responses are lost, or brokers fail, over buses in memory that fail on demand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from tests.contracts.harness import Cluster, TestNode, make_node, open_cluster, over, start_node
from tests.support.fake_sockets import ackable, event
from tests.support.memory_bus import MemoryNetwork
from tests.support.timing import LIMIT_S, wait_until
from zmqio.adapter.base import Target
from zmqio.config import BusOptions
from zmqio.exceptions import RequestTimeoutError
from zmqio.protocol.messages import MessageType

OPTIONS = BusOptions(heartbeat_s=0.02, dead_after_s=0.5)
EVERYBODY = Target()

Ask = Callable[[TestNode, float], Awaitable[object]]
REQUESTS: dict[str, Ask] = {
    "fetch_sockets": lambda node, limit: node.adapter.fetch_sockets(EVERYBODY, limit),
    "broadcast_with_ack": lambda node, limit: node.adapter.broadcast_with_ack(ackable("x"), EVERYBODY, limit),
    "server_side_emit_with_ack": lambda node, limit: node.adapter.server_side_emit_with_ack(["x"], limit),
    "rooms": lambda node, limit: node.adapter.rooms(limit),
}
RESPONSES = {MessageType.RESPONSE, MessageType.ACK_COUNT, MessageType.ACK_RESPONSE}


class Wired(Cluster):
    """Three nodes, and the network between them."""

    network: MemoryNetwork

    def bus_of(self, index: int):  # type: ignore[no-untyped-def]
        """The bus of one node."""
        return next(bus for bus in self.network.buses if bus.name == self[index].name)


async def wired(links: int) -> AsyncIterator[Wired]:
    network = MemoryNetwork(links)
    async with open_cluster(over(network.bus, OPTIONS)) as cluster:
        wired = Wired(cluster.nodes)
        wired.network = network
        for node in wired:
            await node.connect("room")
            node.sockets.server_side_answer = [node.name]
            node.sockets.answers = {sid: [node.name] for sid in node.adapter.sids(EVERYBODY)}
        yield wired


@pytest_asyncio.fixture(name="cluster")
async def one_broker() -> AsyncIterator[Wired]:
    async for cluster in wired(1):
        yield cluster


@pytest_asyncio.fixture(name="redundant")
async def two_brokers() -> AsyncIterator[Wired]:
    async for cluster in wired(2):
        yield cluster


@pytest.mark.parametrize("request_name", REQUESTS)
async def test_node_killed_during_a_request_is_reported_as_missing(cluster: Wired, request_name: str) -> None:
    cluster.bus_of(2).die()
    with pytest.raises(RequestTimeoutError, match="died before responding") as caught:
        await REQUESTS[request_name](cluster[0], 1_000)  # a hang would show as the request's own time-out
    assert caught.value.missing == [cluster[2].identity.node_id]
    assert caught.value.received >= 1
    assert cluster[0].neighbours.left == [(cluster[2].identity.node_id, "silent")]
    await REQUESTS[request_name](cluster[0], 20)
    cluster.nodes.pop()


@pytest.mark.parametrize("request_name", REQUESTS)
async def test_lost_responses_leave_a_partial_result(cluster: Wired, request_name: str) -> None:
    liar = cluster[1].identity.node_id.encode()
    cluster.network.faults.drop = lambda topic, body: liar in body[:20] and body[2] in RESPONSES
    for limit_s in (0.1, LIMIT_S):  # a busy machine may take longer than the first
        with pytest.raises(RequestTimeoutError, match="no response within") as caught:
            await REQUESTS[request_name](cluster[0], limit_s)
        if len(caught.value.missing) == 1:
            break
    assert caught.value.missing == [cluster[1].identity.node_id]
    cluster.network.faults.drop = lambda topic, body: False
    await REQUESTS[request_name](cluster[0], 20)


async def test_late_responses_are_counted_and_ignored(cluster: Wired) -> None:
    cluster.bus_of(1).pause()
    with pytest.raises(RequestTimeoutError):
        await cluster[0].adapter.fetch_sockets(EVERYBODY, 0)
    cluster.bus_of(1).resume()
    found = await cluster[0].adapter.fetch_sockets(EVERYBODY, 20)
    assert len(found) == 3
    assert cluster[0].factory.health().details["ignored_responses"]["late"] >= 1


async def test_node_that_leaves_during_a_request_does_not_fail_it(cluster: Wired) -> None:
    cluster[2].sockets.server_side_answer = None
    asking = asyncio.ensure_future(cluster[0].adapter.server_side_emit_with_ack(["x"], 1_000))
    await wait_until(lambda: cluster[2].sockets.server_side, "the request")
    await cluster[2].factory.close()
    assert await asking == [["B"]]
    cluster.nodes.pop()


async def test_wrong_node_counts_only_cost_the_time_limit(cluster: Wired) -> None:
    """Responses of a node that the requester does not know yet are accepted."""
    newcomer = await start_node(make_node("D", over(cluster.network.bus, OPTIONS)("D")))
    sid = await newcomer.connect()
    await wait_until(lambda: cluster[0].adapter.server_count() == 4, "the join")
    assert sid in {one.sid for one in await cluster[0].adapter.fetch_sockets(EVERYBODY, 20)}
    await newcomer.factory.close()


async def test_no_node_is_declared_dead_in_an_outage_and_joins_apply_after_it(cluster: Wired) -> None:
    cluster.network.cut(0)
    await wait_until(lambda: not cluster[0].factory.health().ready, "the missing echo, after `dead_after_s`")
    joined = await cluster[1].connect("new")
    assert [node.adapter.server_count() for node in cluster] == [3, 3, 3]
    cluster.network.mend(0)
    await wait_until(lambda: all(node.factory.health().ready for node in cluster), "the echoes")
    await cluster[0].adapter.broadcast(event("x"), Target(frozenset({"new"})))
    await cluster.wait_received(event("x"), joined)
    assert all(node.neighbours.left == [] for node in cluster)


async def test_loss_of_one_of_two_brokers_goes_unnoticed(redundant: Wired) -> None:
    sids = [sid for node in redundant for sid in node.adapter.sids(EVERYBODY)]
    for turn, link in enumerate((0, 1, 0)):
        redundant.network.cut(link)
        for number in range(20):
            await redundant[0].adapter.broadcast(event("n", turn, number), EVERYBODY)
        await redundant.wait_received(event("n", turn, 19), *sids)
        redundant.network.mend(link)
        await wait_until(lambda: len(redundant[0].factory.health().details["ready_brokers"]) == 2, "both")
    packets = [event("n", turn, number) for turn in range(3) for number in range(20)]
    assert all(node.sockets.received[sid] == packets for node in redundant for sid in node.sockets.received)
    assert all(node.neighbours.left == [] for node in redundant)


async def test_paused_node_is_reported_as_left_and_joined(cluster: Wired) -> None:
    stopped = cluster[2].identity.node_id
    cluster.bus_of(2).pause()
    await wait_until(lambda: cluster[0].neighbours.left == [(stopped, "silent")], "its death")
    cluster.bus_of(2).resume()
    await wait_until(lambda: cluster[0].adapter.server_count() == 3, "its return")
    assert cluster[0].neighbours.joined.count(stopped) == 2


async def test_isolated_room_costs_other_nodes_no_message(cluster: Wired) -> None:
    sid = await cluster[1].connect("private")
    await cluster.quiet()
    await cluster[0].adapter.broadcast(event("warm"), Target(frozenset({"private"})))
    await cluster.wait_received(event("warm"), sid)
    before = len(cluster.network.log)
    for number in range(100):
        await cluster[0].adapter.broadcast(event("n", number), Target(frozenset({"private"})))
    topics = {topic for topic, _ in cluster.network.log[before:]}
    assert topics == {b"zmqio/r//\0private\0"}
    assert topics.isdisjoint(cluster.bus_of(2).subscriptions)
