"""`Server`: options, adapters, life."""

import asyncio
import re
from typing import Any

import pytest

from tests.support.asgi import http
from tests.support.memory_bus import MemoryNetwork
from tests.support.timing import wait_until
from zmqio.adapter.base import Identity, NodeEvents, Target
from zmqio.adapter.cluster import ClusterAdapterFactory
from zmqio.adapter.local import LocalAdapter, LocalAdapterFactory
from zmqio.exceptions import ConfigError, ServerClosedError
from zmqio.protocol.packet import Frames
from zmqio.server.server import Server


def test_unknown_option_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"unknown option ping_interval; there are .*ping_interval_s"):
        Server(adapter=None, ping_interval=5)


@pytest.mark.parametrize("adapter", ["redis://localhost", 7, ""])
def test_adapter_that_cannot_work_is_refused_at_once(adapter: Any) -> None:
    with pytest.raises(ConfigError):
        Server(adapter=adapter)


def test_node_tag_that_cannot_work_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="exactly 4 characters"):
        Server(adapter=None, node_tag="node-1")


def test_namespace_names() -> None:
    io = Server(adapter=None)
    assert io.of("chat") is io.of("/chat")
    for name in ("/a,b", "/a?b", "/a\0b"):
        with pytest.raises(ValueError, match="must not have"):
            io.of(name)


def test_node_event_that_does_not_exist_names_those_that_do() -> None:
    with pytest.raises(ValueError, match="'joined' and 'left'"):
        Server(adapter=None).on_node("gone")


async def test_life_is_start_once_and_close_once() -> None:
    io = Server(adapter=None)
    assert not io.running
    assert io.health().reasons == ("the server has not started",)
    with pytest.raises(RuntimeError, match=r"await io\.start"):
        _ = io.node_id
    async with io:
        await io.start()
        assert io.running
        assert io.health().ready
        assert len(io.node_id) == 15
    assert not io.running
    await io.close()


async def test_configured_tag_begins_every_id() -> None:
    async with Server(adapter=None, node_tag="wrk1") as io:
        assert io.node_id.startswith("wrk1")


async def test_emit_starts_the_server_by_itself() -> None:
    io = Server(adapter=None)
    await io.emit("nobody is here")
    assert io.running
    await io.close()


async def test_closed_server_does_not_start_again_by_itself() -> None:
    io = Server(adapter=None)
    await io.start()
    await io.close()
    with pytest.raises(ServerClosedError):
        await io.emit("too late")
    assert not io.running
    await io.start()
    await io.emit("again")
    await io.close()


async def test_subclass_of_an_adapter_is_used_for_every_namespace() -> None:
    made = []

    class Recording(LocalAdapter):
        async def broadcast(self, frames: Frames, target: Target) -> None:
            made.append(frames)
            await super().broadcast(frames, target)

    async with Server(adapter=Recording) as io:
        await io.emit("a")
        await io.of("/x").emit("b")
    assert made == [('2["a"]',), ('2/x,["b"]',)]


async def test_node_events_reach_every_listener() -> None:
    io, heard = Server(adapter=None), []
    io.on_node("joined")(lambda node_id: 1 / 0)
    io.on_node("joined")(heard.append)
    io.on_node("left")(lambda node_id, reason: heard.append((node_id, reason)))
    io.node_joined("n1")  # type: ignore[arg-type]
    io.node_left("n1", "goodbye")  # type: ignore[arg-type]
    assert heard == ["n1", ("n1", "goodbye")]


async def test_running_server_is_of_no_use_to_another_event_loop() -> None:
    async with Server(adapter=None) as io:

        def elsewhere() -> None:
            with pytest.raises(RuntimeError, match=r"zmqio\.Emitter"):
                asyncio.run(io.emit("x"))
            with pytest.raises(RuntimeError, match=r"zmqio\.Emitter"):
                asyncio.run(io.of("/new").emit("x"))

        await asyncio.to_thread(elsewhere)


async def test_rules_for_names_give_parents() -> None:
    io = Server(adapter=None)
    parent = io.of(re.compile(r"^/room-\d+$"))
    assert io.of(re.compile(r"^/room-\d+$")) is parent
    child = io.of("/room-1")
    assert parent.children == {"/room-1": child}
    assert io.of("/other") not in parent.children.values()
    async with io:
        await parent.emit("nobody is here")
        assert child.is_open


class CountingFactory(LocalAdapterFactory):
    """Counts starts and closes, and takes its time to settle."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.gate = asyncio.Event()

    async def start(self, identity: Identity, events: NodeEvents) -> None:
        self.calls.append("start")

    async def settled(self, limit_s: float) -> None:
        await self.gate.wait()

    async def close(self) -> None:
        self.calls.append("close")


async def test_cancelled_start_leaves_nothing_on_the_bus() -> None:
    factory = CountingFactory()
    starting = asyncio.ensure_future(Server(adapter=factory).start())
    await wait_until(lambda: factory.calls == ["start"], "it starts")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert factory.calls == ["start", "close"]


async def test_close_during_a_start_waits_for_it_and_closes() -> None:
    factory = CountingFactory()
    io = Server(adapter=factory)
    starting = asyncio.ensure_future(io.start())
    await wait_until(lambda: factory.calls == ["start"], "it starts")
    closing = asyncio.ensure_future(io.close())
    await asyncio.sleep(0)
    factory.gate.set()
    await asyncio.gather(starting, closing)
    assert factory.calls == ["start", "close"]
    assert not io.running


async def test_health_tells_what_was_passed_on_between_nodes() -> None:
    network = MemoryNetwork()
    one, two = (Server(ClusterAdapterFactory(lambda identity: network.bus())) for _ in range(2))
    async with one, two:
        await wait_until(lambda: one.adapter.server_count() == two.adapter.server_count() == 2, "both")
        opened = await http(two.engine.handle, "GET", "EIO=4&transport=polling")
        sid = opened.text.split('"')[3]
        assert (
            await http(one.engine.handle, "POST", f"EIO=4&transport=polling&sid={sid}", body=b"40")
        ).text == "ok"
        assert (await http(one.engine.handle, "GET", f"EIO=4&transport=polling&sid={sid}")).text.startswith("40{")
        assert one.health().details["relay"] == {"polls_forwarded": 2}
        assert two.health().details["relay"] == {"polls_served": 2}
        assert one.health().details["relay_open"] == one.health().details["sessions_unknown"] == 0


async def test_process_that_is_alone_counts_sessions_that_it_does_not_know() -> None:
    async with Server(None) as io:
        assert (await http(io.engine.handle, "GET", f"EIO=4&transport=polling&sid={'x' * 20}")).status == 400
        assert io.health().details == {"sessions_unknown": 1}
