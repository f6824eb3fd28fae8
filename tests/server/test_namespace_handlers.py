"""`NamespaceHandlers`: methods as event handlers."""

import re

import pytest

from tests.support.fake_engine import Harness
from zmqio.server.namespace_handlers import NamespaceHandlers, event, register_handlers
from zmqio.server.server import Server
from zmqio.server.socket import Socket


class Chat(NamespaceHandlers):
    """Handlers of each supported kind."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    async def on_connect(self, socket: Socket, auth: object) -> None:
        self.calls.append(("connect", auth))

    def on_disconnect(self, socket: Socket, reason: str) -> None:
        self.calls.append(reason)

    async def on_snake_case(self, socket: Socket, text: str) -> str:
        await self.namespace.emit("said", text)
        return text.upper()

    @event("chat message")
    async def say(self, socket: Socket) -> str:
        return "spaces"

    def not_for_clients(self, socket: Socket) -> None:
        self.calls.append("never")


async def test_methods_handle_the_events_of_their_namespace() -> None:
    harness, chat = Harness(), Chat()
    register_handlers(harness.of("/chat"), chat)
    client, session = await harness.connected("/chat", '{"a":1}')
    client.message('2/chat,1["snake_case","x"]')
    client.message('2/chat,2["chat message"]')
    client.message('2/chat,3["not_for_clients"]')
    client.message('2/chat,4["say"]')
    await harness.settle()
    client.closed("transport close")
    await harness.settle()
    assert session.sent[1:] == ['2/chat,["said","x"]', '3/chat,1["X"]', '3/chat,2["spaces"]']
    assert chat.calls == [("connect", {"a": 1}), "transport close"]


def test_server_registers_an_object_for_a_name_or_a_rule() -> None:
    io, chat, rooms = Server(adapter=None), Chat(), Chat()
    io.register("/chat", chat)
    assert chat.namespace is io.of("/chat")
    io.register(re.compile("^/room-"), rooms)
    with pytest.raises(RuntimeError, match=r"io\.of\(socket\.namespace\)"):
        _ = rooms.namespace


def test_mistakes_are_reported_at_registration() -> None:
    class Reserved(NamespaceHandlers):
        def on_connect_error(self, socket: Socket) -> None: ...

    io, chat = Server(adapter=None), Chat()
    with pytest.raises(RuntimeError, match="not registered"):
        _ = chat.namespace
    with pytest.raises(ValueError, match="no handler methods"):
        io.register("/a", NamespaceHandlers())
    with pytest.raises(ValueError, match="reserved"):
        io.register("/b", Reserved())
    io.register("/c", chat)
    with pytest.raises(ValueError, match="already"):
        io.register("/d", chat)
