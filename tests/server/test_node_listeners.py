"""`NodeListeners`: every listener hears, and none can harm the others."""

import asyncio

from structlog.testing import capture_logs

from zmqio.adapter.base import BusGap
from zmqio.ids import NodeId
from zmqio.server.node_listeners import NodeListeners

NODE = NodeId("tag1AAAAAAAAAAA")
GAP = BusGap(NODE, first=5, last=9, messages=2, reason="older than the ring")


def test_node_events_reach_every_listener_in_order() -> None:
    listeners, heard = NodeListeners(), []
    listeners.on_node("joined")(lambda node_id: heard.append(("first", node_id)))
    listeners.on_node("joined")(lambda node_id: heard.append(("second", node_id)))
    listeners.on_node("left")(lambda node_id, reason: heard.append((node_id, reason)))
    listeners.node_joined(NODE)
    listeners.node_left(NODE, "goodbye")
    assert heard == [("first", NODE), ("second", NODE), (NODE, "goodbye")]


def test_listener_that_fails_is_logged_and_the_next_still_hears() -> None:
    listeners, heard = NodeListeners(), []
    listeners.on_bus_gap(lambda gap: 1 / 0)
    listeners.on_bus_gap(heard.append)
    with capture_logs() as logs:
        listeners.bus_gap(GAP)
    assert heard == [GAP]
    assert [(line["event"], line["event_name"]) for line in logs] == [("node_listener_failed", "bus_gap")]


def test_decorators_give_the_function_back() -> None:
    listeners = NodeListeners()

    def hear(*_: object) -> None:
        """Do nothing."""

    assert listeners.on_bus_gap(hear) is hear
    assert listeners.on_node("left")(hear) is hear


async def test_coroutine_listeners_run_and_are_awaited_on_close() -> None:
    listeners, heard = NodeListeners(), []
    may_end = asyncio.Event()

    @listeners.on_bus_gap
    async def hear(gap: BusGap) -> None:
        await may_end.wait()
        heard.append(gap)

    listeners.bus_gap(GAP)
    closing = asyncio.ensure_future(listeners.close(60))
    await asyncio.sleep(0)
    assert heard == []
    may_end.set()
    await closing
    assert heard == [GAP]


async def test_coroutine_listener_that_fails_is_logged() -> None:
    listeners = NodeListeners()

    @listeners.on_node("joined")
    async def hear(node_id: NodeId) -> None:
        raise ValueError(node_id)

    with capture_logs() as logs:
        listeners.node_joined(NODE)
        await listeners.close(60)
    assert [(line["event"], line["event_name"]) for line in logs] == [("node_listener_failed", "joined")]
