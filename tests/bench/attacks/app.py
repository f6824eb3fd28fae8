"""The attacked application: `session_app`, with handlers that fail, wait and echo."""

import asyncio
from typing import Any

from tests.support.session_app import make_app
from zmqio import Server, Socket

io = Server()
app = make_app(io)


@io.on("fail")
async def fail(socket: Socket, *args: Any) -> None:
    """Raise."""
    raise ValueError("on purpose")


@io.on("slow")
async def slow(socket: Socket, *args: Any) -> None:
    """Wait for ever."""
    await asyncio.sleep(1_000_000)


@io.on("ask")
async def ask(socket: Socket) -> None:
    """Ask the client, which does not answer."""
    await socket.timeout(1_000).emit_with_ack("question")


@io.on("echo")
async def echo(socket: Socket, *args: Any) -> Any:
    """Return the arguments."""
    return args


@io.on("flood")
async def flood(socket: Socket) -> None:
    """Send to a client that does not read."""
    for _ in range(100):
        await socket.emit("data", "x" * 50_000)


@io.of("/hang").on("connect")
async def hang(socket: Socket) -> None:
    """Wait for ever before the client is admitted."""
    await asyncio.sleep(1_000_000)


for _number in range(100):
    io.of(f"/n{_number}").on("connect")(lambda socket: None)
