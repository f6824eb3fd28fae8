"""WebSocket frames of hostile clients: memory is bounded, others are served, and the close code says why."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.conftest import ClientMaker
from tests.e2e.test_hostile_events import APP, WAYS, memory, running
from tests.support.py_clients import PyClient
from tests.support.timing import LIMIT_S
from tests.support.websocket_clients import connect
from tests.support.websocket_frames import BINARY, CONT, PING, TEXT, FrameClient, frame, frame_client

pytestmark = pytest.mark.asyncio(loop_scope="session")

OWN_CLASSES = [way for way in WAYS if way != "uvicorn"]
CLIENTS = 20
MIB = 1 << 20


@asynccontextmanager
async def attacked(
    way: str, folder: Path, attack: Callable[[FrameClient], Awaitable[None]], attackers: int = CLIENTS
) -> AsyncIterator[tuple[PyClient, int, list[psutil.Process]]]:
    """A host under attack by some clients: a good client, the host's memory before, and its processes."""
    async with running(way, folder) as (url, family), AsyncExitStack() as stack:
        good = PyClient(url, "websocket")
        await good.connect()
        stack.push_async_callback(good.end)
        port = int(url.rpartition(":")[2])
        opened = [frame_client(port, receive_buffer=4096) for _ in range(attackers)]
        clients = [await stack.enter_async_context(client) for client in opened]
        for _ in range(20):
            await good.call("state")
        before = memory(family)
        attacks = [asyncio.create_task(attack(client)) for client in clients]
        try:
            yield good, before, family
        finally:
            for task in attacks:
                task.cancel()
            await asyncio.gather(*attacks, return_exceptions=True)


@pytest.mark.parametrize("way", OWN_CLASSES)
async def test_pings_of_clients_that_do_not_read_take_no_memory(way: str, tmp_path: Path) -> None:
    async def attack(client: FrameClient) -> None:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        while True:
            client.writer.write(frame(PING, b"x" * 125) * 500)
            await client.writer.drain()

    async with attacked(way, tmp_path, attack, attackers=10) as (good, before, family):
        for _ in range(150):
            await good.call("state")
        assert memory(family) - before < 20 * MIB


@pytest.mark.parametrize("way", OWN_CLASSES)
async def test_frames_and_fragments_over_the_limit_take_no_memory_and_close_with_1009(
    way: str, tmp_path: Path
) -> None:
    codes: list[int] = []
    numbers = itertools.count()

    async def attack(client: FrameClient) -> None:
        if next(numbers) % 2:
            client.writer.write(frame(TEXT, b"4" * MIB, size=16 * MIB) + b"4" * (14 * MIB))
        else:
            part = frame(CONT, b"4" * 50_000, fin=False)
            client.writer.write(frame(BINARY, b"", fin=False) + part * 250)
        codes.append(await client.close_code())

    async with attacked(way, tmp_path, attack) as (good, before, family):
        async with asyncio.timeout(LIMIT_S):
            while len(codes) < CLIENTS:
                await good.call("state")
                assert memory(family) - before < 40 * MIB
        assert set(codes) == {1009}


@pytest.mark.parametrize("way", WAYS)
async def test_message_over_the_limit_closes_with_1009_under_every_host(way: str, tmp_path: Path) -> None:
    async with running(way, tmp_path) as (url, _):
        address = f"ws{url.removeprefix('http')}/socket.io/?EIO=4&transport=websocket"
        for compression in (None, "deflate"):
            async with connect(address, compression=compression, max_size=None) as socket:
                await socket.recv()
                with suppress(ConnectionClosed):  # the server may close before it has read all
                    await socket.send("4" + "x" * 1_000_000)
                async with asyncio.timeout(LIMIT_S):
                    await socket.wait_closed()
                assert socket.close_code == 1009


@pytest.mark.parametrize("way", WAYS)
async def test_first_offered_subprotocol_is_selected(way: str, tmp_path: Path, make_client: ClientMaker) -> None:
    async with running(way, tmp_path) as (url, _):
        address = f"ws{url.removeprefix('http')}/socket.io/?EIO=4&transport=websocket"
        async with connect(address, subprotocols=["chat", "superchat"]) as socket:  # type: ignore[list-item]
            assert socket.subprotocol == "chat"
        client = make_client("js", url, "websocket", protocols=["chat", "superchat"])
        await client.connect()
        assert (await client.call("state"))["values"] == []


@pytest.mark.parametrize("way", WAYS)
async def test_application_chooses_the_subprotocol(way: str, tmp_path: Path, make_client: ClientMaker) -> None:
    app = APP.replace("Server(adapter=None)", 'Server(adapter=None, subprotocols=["superchat"])')
    async with running(way, tmp_path, app=app) as (url, _):
        address = f"ws{url.removeprefix('http')}/socket.io/?EIO=4&transport=websocket"
        for offers, selected in ((["chat", "superchat"], "superchat"), (["chat"], None)):
            async with connect(address, subprotocols=offers) as socket:  # type: ignore[arg-type]
                assert socket.subprotocol == selected
        client = make_client("js", url, "websocket", protocols=["chat", "superchat"])
        await client.connect()
        assert (await client.call("state"))["values"] == []
