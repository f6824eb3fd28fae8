"""`TypedEvent` at run time; tests/typing covers what type checkers report."""

import asyncio

import pytest

from tests.support.fake_engine import Harness
from zmqio.server.socket import Socket
from zmqio.server.typed import TypedEvent

said = TypedEvent[[str, int], bool]("chat message")


async def test_typed_event_is_handled_sent_and_acknowledged_under_its_name() -> None:
    harness = Harness()

    @said.on(harness.of("/"))
    async def on_said(socket: Socket, text: str, number: int) -> bool:
        return text == "x" and number == 1

    client, session = await harness.connected()
    (socket,) = harness.of("/").sockets.values()
    client.message('27["chat message","x",1]')
    await harness.settle()
    await said.emit(harness.of("/"), "y", 2)
    asking = asyncio.ensure_future(said.ask(socket, "z", 3))
    await asyncio.sleep(0)
    client.message("30[true]")
    assert await asking is True
    asking_all = asyncio.ensure_future(said.ask_all(harness.of("/"), "all", 4))
    await asyncio.sleep(0)
    client.message("31[false]")
    assert await asking_all == [False]
    assert session.sent[1:] == [
        "37[true]",
        '2["chat message","y",2]',
        '20["chat message","z",3]',
        '21["chat message","all",4]',
    ]


async def test_keyword_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="give number by position"):
        await said.emit(Harness().of("/"), "x", number=1)
