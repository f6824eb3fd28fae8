"""An outage that fills the replay buffer: what was accepted arrives; the rest is refused after local delivery."""

import asyncio

import pytest

from tests.support.broker import BrokerProcess
from tests.support.cluster_nodes import ClusterNode, NodeFailed, running_nodes
from tests.support.js_clients import JsClients
from tests.support.timing import LIMIT_S, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

RING_BYTES = 40_000
TEXT = "x" * 2_000
REFUSED = 10


async def emit(node: ClusterNode, number: int) -> bool:
    """Emit one message to the room; False if the buffer is full."""
    try:
        await node.do("emit", rooms=["crowd"], event="n", args=[number, TEXT])
    except NodeFailed as failure:
        assert failure.facts["error"] == "BusOverflowError"
        return False
    return True


async def test_messages_of_an_outage_that_filled_the_buffer_are_not_replaced_by_newer_ones(js: JsClients) -> None:
    async with (
        BrokerProcess() as broker,
        running_nodes(broker.address, 2, replay_ring_bytes=RING_BYTES, heartbeat_s=0.5, dead_after_s=3.0) as (
            one,
            two,
        ),
    ):
        near = js.client(one.url, "websocket", auth={"rooms": ["crowd"]})
        far = js.client(two.url, "websocket", auth={"rooms": ["crowd"]})
        await asyncio.gather(near.connect(), far.connect())
        await asyncio.to_thread(broker.kill)
        await one.wait_log("broker_lost")
        accepted, number, refused = [], 0, 0
        while refused < REFUSED:
            accepted += [number] * (taken := await emit(one, number))
            refused += not taken
            number += 1
        await asyncio.to_thread(broker.start)
        ends_at = asyncio.get_running_loop().time() + LIMIT_S
        while len(accepted) < 2 * RING_BYTES // len(TEXT):  # newer ones than the buffer has room for
            assert asyncio.get_running_loop().time() < ends_at, f"the buffer stays full: {len(accepted)} accepted"
            accepted += [number] * await emit(one, number)
            number += 1
        await wait_until(lambda: far.received.named("n")[-1:] == [[accepted[-1], TEXT]], "the last message")
        assert [message[0] for message in far.received.named("n")] == accepted
        await wait_until(lambda: len(near.received.named("n")) == number, "every message at the local client")
        assert (await two.state())["health_details"]["counters"]["bus"].get("bus_gaps", 0) == 0
        assert near.received.disconnects == far.received.disconnects == []
        await asyncio.gather(near.end(), far.end())
