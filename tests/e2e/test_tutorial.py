"""docs/tutorial.md: its chat on two nodes, with names, rooms, history and recovery."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
import socketio

from tests.e2e.conftest import ClientMaker
from tests.support.broker import BrokerProcess
from tests.support.example_server import serve_example
from tests.support.js_clients import JsClient
from tests.support.pages import ROOT, commands_of
from tests.support.timing import LIMIT_S, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")
FOLDER = ROOT / "examples" / "tutorial"
COMMANDS = commands_of(ROOT / "docs" / "tutorial.md", "uvicorn")


class Guest:
    """A client of the chat."""

    def __init__(self) -> None:
        self.client = socketio.AsyncClient(reconnection=False, request_timeout=LIMIT_S)
        self.said: list[Any] = []
        self.client.on("said", lambda message, *_offset: self.said.append(message))

    async def connect(self, url: str, name: str) -> None:
        await self.client.connect(url, auth={"name": name}, transports=["websocket"], wait_timeout=LIMIT_S)

    async def call(self, event: str, *args: str) -> Any:
        return await self.client.call(event, args, timeout=LIMIT_S)


@pytest_asyncio.fixture(loop_scope="session")
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as made:
        yield made


def serve_node(number: int, broker: BrokerProcess) -> AbstractAsyncContextManager[str]:
    """Run one of the page's commands, on a free port."""
    name, *arguments = COMMANDS[number].replace(f"--port 800{number} ", "").split()
    assert name == "uvicorn" and "--port" not in arguments
    return serve_example(FOLDER, "-m", "uvicorn", *arguments, ZMQIO_ADAPTER=broker.address)


async def enter(stack: AsyncExitStack, url: str, name: str) -> tuple[Guest, list[Any]]:
    """Connect a guest and enter the lobby; return it and the history that it got."""
    guest = Guest()
    stack.push_async_callback(guest.client.disconnect)
    await guest.connect(url, name)
    return guest, await guest.call("enter", "lobby")


async def test_two_nodes_share_rooms_names_and_history(own_broker: BrokerProcess, stack: AsyncExitStack) -> None:
    first = await stack.enter_async_context(serve_node(0, own_broker))
    ada, history = await enter(stack, first, "ada")
    assert history == []
    assert await ada.call("say", "lobby", "early") == "ok"
    second = await stack.enter_async_context(serve_node(1, own_broker))
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


async def test_guest_whose_node_was_restarted_is_back_with_what_was_said(
    own_broker: BrokerProcess, stack: AsyncExitStack, make_client: ClientMaker
) -> None:
    second = await stack.enter_async_context(serve_node(1, own_broker))
    async with serve_node(0, own_broker) as first:
        ada = make_client("js", first, auth={"name": "ada"}, reconnection=False)
        assert isinstance(ada, JsClient)
        await ada.connect()
        await ada.call("enter", "lobby")
        bob, _ = await enter(stack, second, "bob")
        await meet(bob, ["ada", "bob"])
        sid = ada.sid
    assert await bob.call("say", "lobby", "while you were away") == "ok"
    async with serve_node(0, own_broker) as first:
        assert await ada.return_to(first)
        await wait_until(lambda: ada.received.named("said"), "the missed message")
        assert ada.received.named("said")[0][0] == {"name": "bob", "text": "while you were away"}
        assert ada.sid == sid
        assert await ada.call("say", "lobby", "here again") == "ok"
        await wait_until(lambda: {"name": "ada", "text": "here again"} in bob.said, "the message of who is back")


async def meet(guest: Guest, names: list[str]) -> None:
    """Wait until the nodes of these guests know each other."""
    async with asyncio.timeout(LIMIT_S):
        while await guest.call("who", "lobby") != names:  # noqa: ASYNC110 - the answer is remote
            await asyncio.sleep(0.05)
