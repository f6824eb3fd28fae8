"""Uses of the public API that have to type-check under `mypy --strict`; never run."""

from collections.abc import Sequence
from typing import Any

import zmqio
from zmqio.protocol.packet import Frames

io = zmqio.Server(adapter="tcp://127.0.0.1:5555", node_tag="wrk1", ping_interval_s=10)
chat: zmqio.Namespace = io.of("/chat")


@io.on("connect")
async def connect(socket: zmqio.Socket, auth: dict[str, str] | None) -> None:
    await socket.join("lobby", "news")
    await socket.emit("welcome", {"id": socket.id}, b"binary")
    answer: Any = await socket.emit_with_ack("question", timeout=5)
    if not answer:
        raise zmqio.ConnectRefused("no answer", {"code": 1})


@chat.on("chat message")
async def chat_message(socket: zmqio.Socket, text: str) -> str:
    await chat.to("lobby").except_(socket.id).volatile.emit("chat message", text)
    await socket.broadcast.to("other").emit("chat message", text)
    return "delivered"


@io.use
async def authenticate(socket: zmqio.Socket) -> None:
    if socket.handshake.query.get("token") != "t":
        raise zmqio.ConnectRefused("who are you?")


@io.on_server_side("sum")
def add(a: int, b: int) -> int:
    return a + b


def plain(socket: zmqio.Socket) -> None:
    socket.data["seen"] = True


io.on("plain", plain)


class Quiet(zmqio.LocalAdapter):
    async def broadcast(self, frames: Frames, target: zmqio.Target) -> None:
        if not target.volatile:
            await super().broadcast(frames, target)


zmqio.Server(adapter=Quiet)
zmqio.Server(adapter=zmqio.ZmqAdapter("tcp://a:5555,tcp://b:5555", prefix="shop"))
zmqio.Server(adapter=None)


async def operations() -> None:
    async with io:
        remotes: list[zmqio.RemoteSocket] = await io.to("lobby").fetch_sockets()
        for remote in remotes:
            await remote.emit("hello")
            await remote.disconnect(close=True)
        answers: Sequence[Any] = await io.timeout(2).emit_with_ack("question")
        await io.sockets_join("a")
        await io.server_side_emit("said", answers)
        sums: list[Any] = await io.server_side_emit_with_ack("sum", 1, 2, timeout=1)
        rooms: set[str] = await io.rooms()
        print(sums, rooms, io.server_count(), io.health().reasons)


def publish() -> None:
    with zmqio.Emitter("tcp://127.0.0.1:5555") as emitter:
        emitter.of("/chat").to("lobby").emit("chat message", {"text": "hello"})
        emitter.flush()


async def publish_async() -> None:
    async with zmqio.AsyncEmitter("tcp://127.0.0.1:5555") as emitter:
        await emitter.to("lobby").emit("chat message", {"text": "hello"})
