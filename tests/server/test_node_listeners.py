"""`NodeListeners`: every listener is called, and none affects the others."""

import asyncio

from structlog.testing import capture_logs

from zmqio.adapter.base import BusGap
from zmqio.ids import NodeId
from zmqio.server.node_listeners import NodeListeners

NODE = NodeId("tag1AAAAAAAAAAA")
GAP = BusGap(NODE, first=5, last=9, messages=2, reason="older than the ring")


def test_node_events_reach_every_listener_in_order() -> None:
    listeners, received = NodeListeners(), []
    listeners.on_node("joined")(lambda node_id: received.append(("first", node_id)))
    listeners.on_node("joined")(lambda node_id: received.append(("second", node_id)))
    listeners.on_node("left")(lambda node_id, reason: received.append((node_id, reason)))
    listeners.node_joined(NODE)
    listeners.node_left(NODE, "goodbye")
    assert received == [("first", NODE), ("second", NODE), (NODE, "goodbye")]


def test_failing_listener_is_logged_and_the_next_is_still_called() -> None:
    listeners, received = NodeListeners(), []
    listeners.on_bus_gap(lambda gap: 1 / 0)
    listeners.on_bus_gap(received.append)
    with capture_logs() as logs:
        listeners.bus_gap(GAP)
    assert received == [GAP]
    assert [(line["event"], line["event_name"]) for line in logs] == [("node_listener_failed", "bus_gap")]


def test_decorators_return_the_function() -> None:
    listeners = NodeListeners()

    def listener(*_: object) -> None:
        """Do nothing."""

    assert listeners.on_bus_gap(listener) is listener
    assert listeners.on_node("left")(listener) is listener


async def test_async_listeners_run_and_are_awaited_on_close() -> None:
    listeners, received = NodeListeners(), []
    may_end = asyncio.Event()

    @listeners.on_bus_gap
    async def listener(gap: BusGap) -> None:
        await may_end.wait()
        received.append(gap)

    listeners.bus_gap(GAP)
    closing = asyncio.ensure_future(listeners.close(60))
    await asyncio.sleep(0)
    assert received == []
    may_end.set()
    await closing
    assert received == [GAP]


async def test_failing_async_listener_is_logged() -> None:
    listeners = NodeListeners()

    @listeners.on_node("joined")
    async def listener(node_id: NodeId) -> None:
        raise ValueError(node_id)

    with capture_logs() as logs:
        listeners.node_joined(NODE)
        await listeners.close(60)
    assert [(line["event"], line["event_name"]) for line in logs] == [("node_listener_failed", "joined")]
