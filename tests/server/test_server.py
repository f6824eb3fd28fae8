"""`Server`: options, adapters, registration."""

import asyncio
import re
from typing import Any

import pytest

from zmqio.adapter.base import BusGap, Identity, NodeEvents, Target
from zmqio.adapter.local import LocalAdapter, LocalAdapterFactory
from zmqio.exceptions import ConfigError
from zmqio.ids import NodeId
from zmqio.protocol.packet import Frames
from zmqio.server.observer import Observer
from zmqio.server.server import Server

GAP = BusGap(NodeId("tag1AAAAAAAAAAA"), first=5, last=9, messages=2, reason="older than the ring")


def test_invalid_node_tag_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="exactly 4 characters"):
        Server(adapter=None, node_tag="node-1")


def test_namespace_names_are_normalized_and_checked() -> None:
    io = Server(adapter=None)
    assert io.of("chat") is io.of("/chat")
    for name in ("/a,b", "/a?b", "/a\0b"):
        with pytest.raises(ValueError, match="must not contain"):
            io.of(name)


def test_star_is_not_a_pattern_of_namespaces() -> None:
    with pytest.raises(ValueError, match=r"did you mean of\(re.compile\(''\)\)"):
        Server(adapter=None).of("*")


def test_unknown_node_event_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'joined' and 'left'"):
        Server(adapter=None).on_node("gone")


async def test_node_id_starts_with_the_configured_tag() -> None:
    async with Server(adapter=None, node_tag="wrk1") as io:
        assert io.node_id.startswith("wrk1")


async def test_adapter_subclass_is_used_for_every_namespace() -> None:
    made = []

    class Recording(LocalAdapter):
        async def broadcast(self, frames: Frames, target: Target) -> None:
            made.append(frames)
            await super().broadcast(frames, target)

    async with Server(adapter=Recording) as io:
        await io.emit("a")
        await io.of("/x").emit("b")
    assert made == [('2["a"]',), ('2/x,["b"]',)]


async def test_gaps_that_the_adapter_reports_reach_the_application() -> None:
    class Losing(LocalAdapterFactory):
        async def start(self, identity: Identity, events: NodeEvents) -> None:
            events.bus_gap(GAP)

    io, received = Server(adapter=Losing()), []
    io.on_bus_gap(received.append)
    async with io:
        assert received == [GAP]


async def test_running_server_cannot_be_used_from_another_event_loop() -> None:
    async with Server(adapter=None) as io:

        def elsewhere() -> None:
            with pytest.raises(RuntimeError, match=r"zmqio\.Emitter"):
                asyncio.run(io.emit("x"))
            with pytest.raises(RuntimeError, match=r"zmqio\.Emitter"):
                asyncio.run(io.of("/new").emit("x"))

        await asyncio.to_thread(elsewhere)


async def test_rule_returns_a_parent_namespace() -> None:
    io = Server(adapter=None)
    parent = io.of(re.compile(r"^/room-\d+$"))
    assert io.of(re.compile(r"^/room-\d+$")) is parent
    child = io.of("/room-1")
    assert parent.children == {"/room-1": child}
    assert io.of("/other") not in parent.children.values()
    async with io:
        await parent.emit("nobody is here")
        assert child.is_open


@pytest.mark.parametrize(
    "use",
    [
        lambda io: io.server_count(),
        lambda io: io.of("/").sockets,
        lambda io: io.adapter,
        lambda io: io.of("/").adapter,
    ],
)
def test_use_before_the_start_names_how_to_start(use: Any) -> None:
    with pytest.raises(RuntimeError, match=r"the server has not started; `await io\.start\(\)`"):
        use(Server(adapter=None))


async def test_observer_sees_the_open_namespaces_at_once_and_nothing_after_its_end() -> None:
    seen: list[str] = []

    class Names(Observer):
        def namespace_opened(self, namespace: str) -> None:
            seen.append(namespace)

        def namespace_closed(self, namespace: str) -> None:
            seen.append(f"closed {namespace}")

    early, late = Names(), Names()
    io = Server(adapter=None)
    io.of("/chat")
    io.observe(early)
    async with io:
        assert seen == ["/", "/chat"]
        io.stop_observing(early)
        io.observe(late)
        io.observe(late)
        assert seen == ["/", "/chat"] * 2
        io.stop_observing(late)
    assert seen == ["/", "/chat"] * 2
