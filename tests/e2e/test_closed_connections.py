"""A closed connection is freed at once, without Python's garbage collector, which is switched off here.

Cyclic garbage would stay until a full collection: memory, and work that holds the event loop.
"""

import asyncio
import gc
import logging
import socket as sockets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any

import pytest
import uvicorn
import uvloop

import zmqio
from tests.support.members import PollingMember
from tests.support.timing import LIMIT_S, wait_until
from tests.support.websocket_frames import CLOSE, TEXT, FrameClient, frame, frame_client
from zmqio.exceptions import RequestTimeoutError, SocketGoneError
from zmqio.hosting.http_protocol import HttpProtocol
from zmqio.hosting.websocket_protocol import WebSocketProtocol

REPEATS = 5
FREED = ("zmqio.", "uvicorn.", "websockets.server")
"""Beginnings of the modules whose objects must be gone. The classes of the clients are in other modules."""
RESERVED_BIT = 0x40


async def receive(client: FrameClient, beginning: bytes) -> None:
    while not (await client.receive())[1].startswith(beginning):
        pass


@asynccontextmanager
async def joined(port: int, headers: str = "") -> AsyncIterator[FrameClient]:
    """A WebSocket client whose event has been acknowledged."""
    async with frame_client(port, headers=headers) as client:
        client.writer.write(frame(TEXT, b"40"))
        await receive(client, b"40")
        client.writer.write(frame(TEXT, b'421["echo"]'))
        await receive(client, b"431")
        yield client


async def client_closes(port: int, headers: str = "") -> None:
    async with joined(port, headers) as client:
        client.writer.write(frame(CLOSE, b"\x03\xe8"))
        await client.ended()


async def opening_request_is_unusual(port: int) -> None:
    """Its headers are parsed by `websockets`."""
    await client_closes(port, "X-Repeated: 1\r\nX-Repeated: 2\r\n")


async def connection_is_reset(port: int) -> None:
    async with joined(port) as client:
        client.writer.transport.abort()


async def frame_is_invalid(port: int) -> None:
    async with joined(port) as client:
        client.writer.write(frame(TEXT, b"x", rsv=RESERVED_BIT))
        assert await client.close_code() == 1002
        client.writer.close()


async def server_disconnects(port: int) -> None:
    async with joined(port) as client:
        client.writer.write(frame(TEXT, b'42["disconnect me"]'))
        await client.close_code()
        client.writer.write(frame(CLOSE, b"\x03\xe8"))
        await client.ended()


async def client_is_refused(port: int) -> None:
    async with frame_client(port) as client:
        client.writer.write(frame(TEXT, b'40{"refuse":true}'))
        await receive(client, b"44")
        client.writer.write(frame(CLOSE, b"\x03\xe8"))
        await client.ended()


async def acknowledgement_is_awaited(port: int) -> None:
    async with joined(port) as client:
        client.writer.write(frame(TEXT, b'42["ask me"]'))
        await receive(client, b"42")


async def acknowledgement_times_out(port: int) -> None:
    async with joined(port) as client:
        client.writer.write(frame(TEXT, b'42["ask me in vain"]'))
        await receive(client, b'42["too late"]')
        client.writer.write(frame(CLOSE, b"\x03\xe8"))
        await client.ended()


async def other_application_closes(port: int) -> None:
    async with frame_client(port, "/other") as client:
        await client.close_code()
        client.writer.write(frame(CLOSE, b"\x03\xe8"))
        await client.ended()


async def polling_client_closes(port: int) -> None:
    await (await PollingMember.open(port)).close()


async def polling_client_drops_its_poll(port: int) -> None:
    member = await PollingMember.open(port)
    member.begin_poll()
    await member.drop()


async def upgraded_client_closes(port: int) -> None:
    await (await (await PollingMember.open(port)).upgrade()).close()


ENDS = (
    *(client_closes, opening_request_is_unusual, connection_is_reset, frame_is_invalid, server_disconnects),
    *(client_is_refused, acknowledgement_is_awaited, acknowledgement_times_out, other_application_closes),
    *(polling_client_closes, polling_client_drops_its_poll, upgraded_client_closes),
)


def make_app() -> tuple[zmqio.Server, Any]:
    io = zmqio.Server(first_packet_timeout_s=LIMIT_S, ping_interval_s=LIMIT_S, ping_timeout_s=LIMIT_S)

    @io.on("connect")
    async def connect(socket: zmqio.Socket) -> None:
        if socket.handshake.auth:
            raise zmqio.ConnectRefused("no")
        await socket.join("room")

    @io.on("disconnect")
    async def disconnect(socket: zmqio.Socket, reason: str) -> None: ...

    @io.on("echo")
    async def echo(socket: zmqio.Socket) -> None: ...

    @io.on("disconnect me")
    async def disconnect_me(socket: zmqio.Socket) -> None:
        await socket.disconnect(close=True)

    @io.on("ask me")
    async def ask_me(socket: zmqio.Socket) -> None:
        with suppress(SocketGoneError):
            await socket.emit_with_ack("answer", timeout=LIMIT_S)

    @io.on("ask me in vain")
    async def ask_me_in_vain(socket: zmqio.Socket) -> None:
        with suppress(RequestTimeoutError):
            await socket.emit_with_ack("answer", timeout=0.01)
        await socket.emit("too late")

    async def other_app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})

    return io, io.asgi(other_app)


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[int]:
    """Serve as README's uvicorn line does; yield the port."""
    config = uvicorn.Config(app, http=HttpProtocol, ws=WebSocketProtocol, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
    with sockets.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await wait_until(lambda: server.started, "uvicorn to start")
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await asyncio.wait_for(serving, LIMIT_S)


def census() -> Counter[type]:
    return Counter(kind for kind in map(type, gc.get_objects()) if str(kind.__module__).startswith(FREED))


async def assert_freed(end: Callable[[int], Awaitable[None]], io: zmqio.Server, port: int) -> None:
    await end(port)  # the first end may leave objects that are made only once
    await wait_until(lambda: not io.engine.sessions, "the end of the first session")
    before = census()
    for _ in range(REPEATS):
        await end(port)
    try:
        await wait_until(lambda: census() <= before, "the objects of closed connections are freed")
    except AssertionError as error:
        raise AssertionError(f"{end.__name__}: {error}; left: {census() - before}") from None


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
@pytest.mark.usefixtures("without_collector")
def test_closed_connections_are_freed_without_the_collector(new_loop, caplog):
    caplog.set_level(logging.CRITICAL, "uvicorn.error")

    async def run() -> None:
        io, app = make_app()
        async with served(app) as port:
            for end in ENDS:
                await assert_freed(end, io, port)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run())
