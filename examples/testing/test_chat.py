"""Tests of the chat in examples/tutorial, without ports, processes or a broker. Run: `pytest test_chat.py`."""

import runpy
from pathlib import Path

import pytest

import zmqio
from zmqio.testing import MemoryCluster, TestClient

APP = str(Path(__file__).parents[1] / "tutorial" / "app.py")


@pytest.fixture
def chat():
    return runpy.run_path(APP)["io"]


async def test_guests_see_each_other(chat):
    async with TestClient(chat, auth={"name": "ada"}) as ada, TestClient(chat, auth={"name": "bob"}) as bob:
        await ada.call("enter", "lobby")
        await bob.call("enter", "lobby")
        assert await ada.call("say", "lobby", "hello") == "ok"
        message, *_offset = await bob.receive("said")  # with `recovery=True`, events have one more argument
        assert message == {"name": "ada", "text": "hello"}
        assert await bob.call("who", "lobby") == ["ada", "bob"]
    await chat.close()


async def test_nobody_enters_without_a_name(chat):
    with pytest.raises(zmqio.ConnectRefused, match="choose a name"):
        await TestClient(chat).connect()
    await chat.close()


async def test_a_room_spans_two_nodes():
    cluster = MemoryCluster()
    async with zmqio.Server(adapter=cluster.adapter()) as one, zmqio.Server(adapter=cluster.adapter()) as two:
        for io in (one, two):
            io.on("enter", lambda socket, room: socket.join(room))
        async with TestClient(one) as client:
            await client.call("enter", "lobby")
            await two.to("lobby").emit("news", "hello")
            assert await client.receive("news") == ["hello"]
