"""A node that was written from docs/wire-protocol.md takes part in a cluster beside a node of zmqio."""

from collections.abc import AsyncIterator

import msgpack
import pytest
import pytest_asyncio

from tests.support.broker import BrokerProcess
from tests.support.cluster_nodes import ClusterNode, new_prefix, running_nodes, wait_counts
from tests.support.plain_node import SID, Kind, PlainNode
from tests.support.timing import LIMIT_S, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

NEVER_SILENT_S = 900.0
"""`dead_after_s` with which a node whose thread gets no CPU for a while is not taken for dead."""
ALL_TOPICS = b"\xff" * 8
"""A Bloom filter that contains every topic."""

Pair = tuple[ClusterNode, PlainNode]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair(broker: BrokerProcess) -> AsyncIterator[Pair]:
    """One node of zmqio and one that knows only the page, which have met."""
    prefix = new_prefix()
    async with running_nodes(broker.address, 1, prefix=prefix, dead_after_s=NEVER_SILENT_S) as (node,):
        with PlainNode(broker.address, prefix) as plain:
            await wait_counts([node], 2)
            await wait_until(lambda: plain.echoed, "its heartbeat came back")
            yield node, plain


async def test_it_answers_every_request(pair: Pair) -> None:
    node, plain = pair
    assert await node.do("ask_nodes", event="who", args=[1]) == [["plain", "who", 1]]
    assert await node.do("rooms") == ["lobby", SID]
    (found,) = await node.do("fetch", rooms=["lobby"])
    assert (found["sid"], found["node_id"], found["data"]) == (SID, plain.node_id, {"from": "plain"})
    assert await node.do("ask", event="question", timeout=LIMIT_S) == ["plain"]


async def test_what_a_broker_loses_is_replayed_in_order(pair: Pair) -> None:
    node, plain = pair
    for number in range(1, 6):
        args = msgpack.packb(["hello", number])
        plain.publish(Kind.SERVER_SIDE_EMIT, "/", args, None, topic=plain.topic("n", "/"), lose=number in (2, 3))
    state = await node.wait_state("the fifth event", lambda state: [5] in state["received"])
    assert state["received"] == [[1], [2], [3], [4], [5]]


async def test_it_requests_what_it_missed(pair: Pair) -> None:
    node, plain = pair
    for number in range(3):
        await node.do("tell_nodes", event="news", args=[number])
    await wait_until(lambda: len(events(plain)) == 3, "three events")
    plain.request_replay(node.node_id, events(plain)[0], ALL_TOPICS)
    await wait_until(lambda: answers(plain), "the answer")
    ((_, upto, complete, forgotten, lost, messages, *_),) = answers(plain)
    assert (complete, forgotten, lost) == (True, 0, [])
    replayed = [msgpack.unpackb(body) for topic, body, age_s in messages if topic == plain.topic("n", "/")]
    assert [msgpack.unpackb(fields[6]) for fields in replayed] == [["news", 1], ["news", 2]]
    assert upto >= replayed[-1][3]


async def test_its_goodbye_ends_its_membership(pair: Pair) -> None:
    node, plain = pair
    plain.leave()
    state = await node.wait_state("the goodbye", lambda state: state["left"])
    assert state["left"] == [[plain.node_id, "goodbye"]]


def events(plain: PlainNode) -> list[int]:
    """The numbers of the server-side events that it has received without a request."""
    return [n for kind, _, n, fields in plain.received if kind == Kind.SERVER_SIDE_EMIT and fields[2] is None]


def answers(plain: PlainNode) -> list[list[object]]:
    """The answers to its replay requests."""
    return [fields for kind, _, _, fields in plain.received if kind == Kind.REPLAY_ANSWER]
