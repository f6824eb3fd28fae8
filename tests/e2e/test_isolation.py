"""A node without members of a room receives nothing of its traffic, counted at its socket."""

import asyncio

import pytest

from tests.e2e.conftest import ClientMaker
from tests.support.broker import BrokerProcess
from tests.support.cluster import Cluster, NodeProcess
from tests.support.node_config import NodeConfig
from tests.support.relay import Relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

MESSAGES = 2_000
SIZE_BYTES = 1_000
HEARTBEATS_AND_SUBSCRIPTIONS_BYTES = 100_000
"""Other messages that may arrive: one heartbeat a second from each node over the longest run, 5 % of the flood."""


async def test_the_flood_of_a_room_does_not_reach_a_node_without_members(
    broker: BrokerProcess, cluster: Cluster, make_client: ClientMaker
) -> None:
    async with Relay(broker.address) as relay, NodeProcess(NodeConfig("quiet", relay.address)) as quiet:
        await quiet.wait_state("quiet joins", lambda state: state["server_count"] > len(cluster.nodes))
        outsider = make_client("py", quiet.url, "websocket")
        member = make_client("py", cluster[1].url, "websocket")
        speaker = make_client("py", cluster[0].url, "websocket")
        await asyncio.gather(*(client.connect() for client in (outsider, member, speaker)))
        await outsider.call("join", "calm", "flooded but left")
        await outsider.call("leave", "flooded but left")
        await outsider.call("join", "another")  # completes when the broker has applied the cancellation, too
        await member.call("join", "flooded", "flooded but left")

        before = len(relay.received)
        for room in ("flooded", "flooded but left"):
            assert await speaker.call("flood", room, MESSAGES // 2, SIZE_BYTES) == "ok"
        await member.wait_for("flood", MESSAGES)
        await speaker.call("say", "calm", "calm", "a word to the calm room")
        await outsider.wait_for("calm")
        received = bytes(relay.received[before:])

    assert b"a word to the calm room" in received  # the relay is where the node's traffic really passes
    assert b"flood." not in received
    assert len(received) < HEARTBEATS_AND_SUBSCRIPTIONS_BYTES
    assert outsider.received.named("flood") == []
