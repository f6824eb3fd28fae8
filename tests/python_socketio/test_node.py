"""Tests of `zmqio.python_socketio.node`."""

import pytest

from tests.support.memory_bus import MemoryNetwork
from tests.support.psio_harness import ManagedServer
from tests.support.timing import wait_until
from zmqio.exceptions import TopicError
from zmqio.metrics.process import ProcessMetrics
from zmqio.python_socketio import node as module


async def test_nodes_see_each_other_and_leave() -> None:
    network = MemoryNetwork()
    seen: list[str] = []
    async with ManagedServer(network) as one:
        one.manager.on_node("joined")(lambda node_id: seen.append("joined"))
        one.manager.on_node("left")(lambda node_id, reason: seen.append(reason))
        async with ManagedServer(network):
            await wait_until(lambda: seen == ["joined"], "the other node")
        await wait_until(lambda: seen == ["joined", "goodbye"], "its goodbye")


async def test_a_closed_node_starts_again() -> None:
    server = ManagedServer()
    assert server.manager.health().reasons == ("the adapter has not started",)
    async with server:
        first = server.manager.health().details["node_id"]
        await server.sio.emit("hello")
    await server.manager.close()
    async with server:
        await server.sio.emit("hello")
        assert server.manager.health().details["node_id"] != first
        assert server.manager.health().details["counters"]["python_socketio"] == {}


async def test_namespaces_that_clients_have_left_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EMPTY_NAMESPACES", 3)
    async with ManagedServer(server={"namespaces": "*"}) as node:
        await node.connect("stays", "/0")
        for number in range(1, 20):
            await node.sio.emit("hello", namespace=f"/{number}")
        open_names = list(node.manager._node.namespaces)
        assert open_names[0] == "/0"
        assert len(open_names) <= 6
        with pytest.raises(TopicError):
            node.manager.cluster("/\0")


async def test_its_bus_is_among_the_metrics_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = ProcessMetrics()  # without the nodes of other tests
    monkeypatch.setattr(module, "PROCESS_METRICS", metrics)

    def published() -> float:
        name = "zmqio_bus_messages_published"
        return sum(sample.value for sample in metrics.samples() if sample.metric == name)

    async with ManagedServer() as node:
        await node.sio.emit("hello")
        await wait_until(lambda: published() == 1, "the message")
        assert {"zmqio_ready", "zmqio_nodes"} <= {sample.metric for sample in metrics.samples()}
    assert published() == 1
