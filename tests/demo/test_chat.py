"""`Chat` over a server of its own, without a browser and without a broker."""

import asyncio
from typing import Any

import pytest

from zmqio.demo.chat import MAX_TEXT_CHARACTERS, Chat
from zmqio.server.server import Server


class FakeSocket:
    """As much of a socket as the chat uses."""

    def __init__(self, name: Any = None) -> None:
        self.id = "tagA0123456789abcdef"
        self.data: dict[str, Any] = {}
        self.emitted: list[tuple[Any, ...]] = []
        self.rooms: list[str] = []

    async def emit(self, *args: Any) -> None:
        self.emitted.append(args)

    async def join(self, room: str) -> None:
        self.rooms.append(room)


@pytest.fixture
async def chat() -> Any:
    io = Server(adapter=None)
    async with io:
        yield Chat(io, "A", ["A", "B"])


async def test_newcomer_is_told_node_history_and_bus(chat: Chat) -> None:
    socket: Any = FakeSocket()
    await chat._connect(socket, {"name": "  Ada "})
    assert socket.data == {"node": "A", "name": "Ada"}
    assert socket.rooms == ["lobby"]
    welcome, bus = socket.emitted
    assert welcome == ("welcome", {"node": "A", "sid": socket.id, "history": []})
    assert bus == ("bus", {"ready": True, "reasons": []})


async def test_message_is_acknowledged_and_kept_for_newcomers(chat: Chat) -> None:
    socket: Any = FakeSocket()
    await chat._connect(socket, None)
    answer = await chat._said(socket, "x" * (MAX_TEXT_CHARACTERS + 10))
    assert answer["ok"]
    assert answer["everywhere"]
    late: Any = FakeSocket()
    await chat._connect(late, None)
    (message,) = late.emitted[0][1]["history"]
    assert (message["from"], message["node"], len(message["text"])) == ("guest", "A", MAX_TEXT_CHARACTERS)
    assert message["id"] == answer["id"]


@pytest.mark.parametrize("text", [None, 7, {"a": 1}, "   "])
async def test_what_is_no_text_is_refused_in_words(chat: Chat, text: Any) -> None:
    socket: Any = FakeSocket()
    await chat._connect(socket, None)
    answer = await chat._said(socket, text)
    assert not answer["ok"]
    assert "text" in answer["error"]


async def test_watcher_ends_when_it_is_cancelled(chat: Chat) -> None:
    watching = asyncio.create_task(chat.watch_bus(0.01))
    await asyncio.sleep(0)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
