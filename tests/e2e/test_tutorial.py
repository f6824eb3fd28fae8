"""docs/tutorial.md: its chat on two nodes, with names, rooms and history."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
import socketio

from tests.support.broker import BrokerProcess
from tests.support.example_server import serve_example
from tests.support.pages import ROOT
from tests.support.timing import LIMIT_S, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")
FOLDER = ROOT / "examples" / "tutorial"


class Guest:
    """A client of the chat."""

    def __init__(self) -> None:
        self.client = socketio.AsyncClient(reconnection=False)
        self.said: list[Any] = []
        self.client.on("said", self.said.append)

    async def connect(self, url: str, name: str) -> None:
        await self.client.connect(url, auth={"name": name}, transports=["websocket"], wait_timeout=LIMIT_S)

    async def call(self, event: str, *args: str) -> Any:
        return await self.client.call(event, args, timeout=LIMIT_S)


@pytest_asyncio.fixture(loop_scope="session")
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as made:
        yield made


async def enter(stack: AsyncExitStack, url: str, name: str) -> tuple[Guest, list[Any]]:
    """Connect a guest and enter the lobby; return it and the history that it got."""
    guest = Guest()
    stack.push_async_callback(guest.client.disconnect)
    await guest.connect(url, name)
    return guest, await guest.call("enter", "lobby")


async def test_two_nodes_share_rooms_names_and_history(broker: BrokerProcess, stack: AsyncExitStack) -> None:
    environment = {"ZMQIO_ADAPTER": broker.address}
    first = await stack.enter_async_context(serve_example(FOLDER, **environment))
    ada, history = await enter(stack, first, "ada")
    assert history == []
    assert await ada.call("say", "lobby", "early") == "ok"
    second = await stack.enter_async_context(serve_example(FOLDER, **environment))
    async with asyncio.timeout(LIMIT_S):
        bob, history = await enter(stack, second, "bob")
        while history != [{"name": "ada", "text": "early"}]:  # the new node has not met the other one yet
            await asyncio.sleep(0.05)
            history = await bob.call("enter", "lobby")
    assert await bob.call("say", "elsewhere", "x") == "enter the room first"
    assert await bob.call("say", "lobby", "late") == "ok"
    await wait_until(lambda: {"name": "bob", "text": "late"} in ada.said, "the message of the other node")
    assert await ada.call("who", "lobby") == ["ada", "bob"]
    _, history = await enter(stack, first, "eve")
    assert [message["text"] for message in history] == ["early", "late"]


async def test_guest_without_a_name_is_refused(stack: AsyncExitStack) -> None:
    url = await stack.enter_async_context(serve_example(FOLDER))
    with pytest.raises(socketio.exceptions.ConnectionError):
        await Guest().connect(url, "")
