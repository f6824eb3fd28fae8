"""An outage that fills the replay buffer: what was accepted arrives; the rest is reported where it is missed."""

import asyncio

import pytest

from tests.support.broker import BrokerProcess
from tests.support.cluster_nodes import ClusterNode, running_nodes
from tests.support.js_clients import JsClients
from tests.support.timing import LIMIT_S, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

RING_BYTES = 40_000
TEXT = "x" * 2_000
REFUSED = 10


async def emit(node: ClusterNode, number: int) -> None:
    """Emit one message to the room. It never fails."""
    await node.do("emit", rooms=["crowd"], event="n", args=[number, TEXT])


async def bus_counters(node: ClusterNode) -> dict[str, int]:
    counters: dict[str, int] = (await node.state())["health_details"]["counters"]["bus"]
    return counters


async def test_outage_that_fills_the_buffer_is_not_noticed_by_local_clients_and_reported_exactly(
    js: JsClients,
) -> None:
    async with (
        BrokerProcess() as broker,
        running_nodes(broker.address, 2, replay_ring_bytes=RING_BYTES, heartbeat_s=0.5, dead_after_s=LIMIT_S) as (
            one,
            two,
        ),
    ):
        near = js.client(one.url, "websocket", auth={"rooms": ["crowd"]})
        far = js.client(two.url, "websocket", auth={"rooms": ["crowd"]})
        await asyncio.gather(near.connect(), far.connect())
        await asyncio.to_thread(broker.kill)
        await one.wait_log("broker_lost")
        number = 0
        while (await bus_counters(one)).get("broadcasts_refused", 0) < REFUSED:
            await emit(one, number)
            number += 1
        await asyncio.to_thread(broker.start)
        ends_at = asyncio.get_running_loop().time() + LIMIT_S
        pause_s = 0.1
        while [number - 1, TEXT] not in far.received.named("n")[-1:]:
            # Those that the buffer held are not replaced by newer ones before the other node has received them.
            assert asyncio.get_running_loop().time() < ends_at, "the buffer stays full"
            await emit(one, number)
            number += 1
            await asyncio.sleep(pause_s)
            pause_s *= 1.1  # at some time the newest message arrives within the pause, on any machine
        arrived = [message[0] for message in far.received.named("n")]
        assert arrived == sorted(set(arrived))
        assert arrived[: RING_BYTES // 2 // len(TEXT)] == list(range(RING_BYTES // 2 // len(TEXT)))
        lost = (await bus_counters(two)).get("bus_gap_messages", 0)
        assert lost == number - len(arrived) == (await bus_counters(one))["broadcasts_refused"]
        await wait_until(lambda: len(near.received.named("n")) == number, "every message at the local client")
        assert [message[0] for message in near.received.named("n")] == list(range(number))
        assert near.received.disconnects == far.received.disconnects == []
        await asyncio.gather(near.end(), far.end())
