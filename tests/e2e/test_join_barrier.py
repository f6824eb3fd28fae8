"""`await socket.join(room)`, then an emit from another node: it is never missed."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.conftest import ClientMaker
from tests.support.broker import BrokerProcess
from tests.support.cluster import Cluster, NodeProcess
from tests.support.node_config import NodeConfig
from tests.support.relay import Relay
from tests.support.timing import LIMIT_S

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRIALS = 1_000
PAIRS = 4
"""Concurrent trials, so that barriers of one node overlap."""
LATE_S = 0.005
"""Longer than a message takes from node to node on one machine; without the barrier nearly all would be missed."""


@pytest_asyncio.fixture(loop_scope="session")
async def far_node(broker: BrokerProcess, cluster: Cluster) -> AsyncIterator[NodeProcess]:
    """A node whose subscriptions reach the broker late: a join that does not wait for them is too early."""
    async with (
        Relay(broker.address, LATE_S) as relay,
        NodeProcess(NodeConfig("far", relay.address, bus={"dead_after_s": LIMIT_S})) as node,
    ):
        await node.wait_state("joins", lambda state: state["ready"] and state["server_count"] > len(cluster.nodes))
        yield node


async def missed_after_join(make_client: ClientMaker, joins_at: NodeProcess, speaks_at: NodeProcess) -> list[int]:
    """Join fresh rooms at one node and emit to each from the other at once; return those not received once."""

    async def trials(number: int) -> list[int]:
        joiner, speaker = (make_client("py", node.url, "websocket") for node in (joins_at, speaks_at))
        await asyncio.gather(joiner.connect(), speaker.connect())
        mine = range(number, TRIALS, PAIRS)
        for trial in mine:
            room = f"{joins_at.name} fresh {trial}"
            assert await joiner.call("join", room) == "ok"
            assert await speaker.call("say", room, "trial", trial) == "ok"
        # The same publisher's later message comes after all of them, or in place of those that are missing.
        await speaker.call("say", joiner.sid, "end")
        await joiner.wait_for("end")
        received = [value for (value,) in joiner.received.named("trial")]
        return [trial for trial in mine if received.count(trial) != 1]

    return [trial for missed in await asyncio.gather(*map(trials, range(PAIRS))) for trial in missed]


async def test_a_message_right_after_a_join_is_never_missed(cluster: Cluster, make_client: ClientMaker) -> None:
    assert await missed_after_join(make_client, cluster[0], cluster[1]) == []


async def test_a_message_right_after_a_join_is_never_missed_by_a_node_far_away(
    cluster: Cluster, far_node: NodeProcess, make_client: ClientMaker
) -> None:
    assert await missed_after_join(make_client, far_node, cluster[1]) == []


async def test_a_join_of_many_rooms_at_once_holds_for_each(cluster: Cluster, make_client: ClientMaker) -> None:
    joiner, speaker = make_client("py", cluster[2].url, "polling"), make_client("js", cluster[0].url, "websocket")
    await asyncio.gather(joiner.connect(), speaker.connect())
    rooms = [f"one of many {number}" for number in range(300)]
    assert await joiner.call("join", *rooms) == "ok"
    for number, room in enumerate(rooms):
        await speaker.call("say", room, "each", number)
    received = await joiner.wait_for("each", len(rooms))
    assert received == [[number] for number in range(len(rooms))]
