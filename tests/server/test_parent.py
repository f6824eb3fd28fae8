"""`ParentNamespace`: registrations and emits for all children, over a fake engine."""

import re
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.namespaces_harness import NamespacesHarness
from zmqio.adapter.base import Target
from zmqio.adapter.local import LocalAdapter
from zmqio.exceptions import BusUnavailableError, ConnectRefused
from zmqio.protocol.packet import Frames
from zmqio.server.socket import Socket

ROOM = re.compile(r"^/room-\d+$")


async def test_handlers_and_middleware_apply_to_every_child() -> None:
    harness, calls = NamespacesHarness(), []
    parent = harness.table.parent(ROOM)

    @parent.use
    def middleware(socket: Socket) -> None:
        if socket.handshake.auth == {"no": 1}:
            raise ConnectRefused("not you")

    parent.on("connect", lambda socket: calls.append(("connect", socket.namespace)))
    parent.on("say", lambda socket, text: text.upper())
    parent.on("disconnect", lambda socket, reason: calls.append(("disconnect", socket.namespace)))
    client, session = await harness.enter("/room-1")
    client.message('2/room-1,7["say","x"]')
    await harness.settle()
    await harness.leave(client)
    await harness.enter("/room-2")
    _, refused = await harness.enter("/room-3", '{"no":1}')
    assert session.sent[1:] == ['3/room-1,7["X"]']
    assert refused.sent == ['4/room-3,{"message":"not you"}']
    assert calls == [("connect", "/room-1"), ("disconnect", "/room-1"), ("connect", "/room-2")]


@pytest.mark.parametrize("name", ["/room-x", "/", "/room-1/2", "/other"])
async def test_name_that_no_rule_allows_is_invalid(name: str) -> None:
    harness = NamespacesHarness()
    harness.table.parent(ROOM)
    _, session = await harness.enter(name)
    assert str(session.sent[0]).endswith('{"message":"Invalid namespace"}')
    assert len(harness.table) == 0


async def test_rule_function_receives_name_and_auth_of_each_client() -> None:
    harness, asked = NamespacesHarness(), []

    async def rule(name: str, auth: Any) -> bool:
        asked.append((name, auth))
        return bool(auth)

    parent = harness.table.parent(rule)
    _, first = await harness.enter("/any", '{"token":1}')
    _, second = await harness.enter("/any")
    assert asked == [("/any", {"token": 1}), ("/any", None)]
    assert str(first.sent[0]).startswith('0/any,{"sid"')
    assert second.sent == ['4/any,{"message":"Invalid namespace"}']
    assert list(parent.children) == ["/any"]


async def test_rule_that_raises_rejects_and_the_next_rule_is_evaluated() -> None:
    harness = NamespacesHarness()
    harness.table.parent(lambda name, auth: 1 / 0)
    second = harness.table.parent(lambda name, auth: True)
    with capture_logs() as logs:
        await harness.enter("/a")
    assert list(second.children) == ["/a"]
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["namespace_rule_failed"]


async def test_emit_reaches_every_child_and_respects_rooms() -> None:
    harness = NamespacesHarness()
    parent = harness.table.parent(ROOM)
    parent.on("join", lambda socket, room: socket.join(room))
    (one, first), (_, second) = await harness.enter("/room-1"), await harness.enter("/room-2")
    one.message('2/room-1,["join","r"]')
    await harness.settle()
    await parent.emit("a", 1)
    await parent.to("r").emit("b")
    await parent.except_("r").local.volatile.emit("c")
    assert first.sent[1:] == ['2/room-1,["a",1]', '2/room-1,["b"]']
    assert second.sent[1:] == ['2/room-2,["a",1]', '2/room-2,["c"]']


async def test_emit_continues_after_a_failing_child_and_raises_its_error() -> None:
    class Cut(LocalAdapter):
        async def broadcast(self, frames: Frames, target: Target) -> None:
            await super().broadcast(frames, target)
            raise BusUnavailableError("no broker")

    harness = NamespacesHarness()
    parent = harness.table.parent(ROOM)
    await harness.table.get_or_create("/room-1").open(harness.runtime, Cut)
    (_, first), (_, second) = await harness.enter("/room-1"), await harness.enter("/room-2")
    with pytest.raises(BusUnavailableError):
        await parent.emit("x")
    assert (first.sent[1:], second.sent[1:]) == (['2/room-1,["x"]'], ['2/room-2,["x"]'])
