"""`Chat` over a server of its own, without a browser and without a broker."""

import asyncio
from typing import Any

import pytest

from zmqio.demo.chat import MAX_TEXT_CHARACTERS, NAMES, Chat
from zmqio.server.server import Server


class FakeSocket:
    """The part of `Socket` that the chat uses."""

    def __init__(self, name: Any = None) -> None:
        self.id = "tagA0123456789abcdef"
        self.data: dict[str, Any] = {}
        self.recovered = False
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


async def test_new_client_receives_node_history_and_bus_state(chat: Chat) -> None:
    socket: Any = FakeSocket()
    await chat._on_connect(socket, {"name": "  Ada "})
    assert socket.data == {"node": "A", "name": "Ada"}
    assert socket.rooms == ["lobby"]
    welcome, bus = socket.emitted
    assert welcome == ("welcome", {"node": "A", "sid": socket.id, "name": "Ada", "history": []})
    assert bus == ("bus", {"ready": True, "reasons": [], "broker_pid": None})


async def test_recovered_client_keeps_its_name_and_is_on_the_new_node(chat: Chat) -> None:
    socket: Any = FakeSocket()
    socket.recovered, socket.data = True, {"node": "B", "name": "Ada"}
    await chat._on_connect(socket, {"name": "not asked"})
    assert socket.data == {"node": "A", "name": "Ada"}
    assert socket.rooms == []


async def test_people_without_a_name_get_different_ones(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    here: list[Any] = []

    async def people() -> list[Any]:
        return here

    monkeypatch.setattr(chat, "_people", people)
    for _ in range(len(NAMES) + 2):
        socket: Any = FakeSocket()
        await chat._on_connect(socket, {"name": " "})
        here.append(socket)
    names = {socket.data["name"] for socket in here}
    assert names == {*NAMES, "Guest 1", "Guest 2"}


async def test_empty_nickname_changes_nothing(chat: Chat) -> None:
    socket: Any = FakeSocket()
    await chat._on_connect(socket, {"name": "Ada"})
    await chat._on_nickname(socket, "  ")
    assert socket.data["name"] == "Ada"


async def test_clients_learn_the_process_of_a_new_broker(chat: Chat) -> None:
    chat.broker_pid = 4321
    socket: Any = FakeSocket()
    await chat._on_connect(socket, None)
    assert socket.emitted[-1][1]["broker_pid"] == 4321


async def test_message_is_acknowledged_and_kept_for_new_clients(chat: Chat) -> None:
    socket: Any = FakeSocket()
    await chat._on_connect(socket, None)
    ack = await chat._on_message(socket, "x" * (MAX_TEXT_CHARACTERS + 10))
    assert ack["ok"]
    assert ack["everywhere"]
    late: Any = FakeSocket()
    await chat._on_connect(late, None)
    (message,) = late.emitted[0][1]["history"]
    assert (message["from"], message["node"]) == (socket.data["name"], "A")
    assert len(message["text"]) == MAX_TEXT_CHARACTERS
    assert message["id"] == ack["id"]


@pytest.mark.parametrize("text", [None, 7, {"a": 1}, "   "])
async def test_message_that_is_not_text_is_rejected_with_a_reason(chat: Chat, text: Any) -> None:
    socket: Any = FakeSocket()
    await chat._on_connect(socket, None)
    ack = await chat._on_message(socket, text)
    assert not ack["ok"]
    assert "text" in ack["error"]


async def test_bus_watcher_can_be_cancelled(chat: Chat) -> None:
    watching = asyncio.create_task(chat.watch_bus(0.01))
    await asyncio.sleep(0)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
