"""Uses of the public API that must type-check under `mypy --strict`; never run."""

import re
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, assert_type

import zmqio

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
        raise zmqio.ConnectRefused("unknown token")


@io.on_server_side("sum")
def add(a: int, b: int) -> int:
    return a + b


def plain(socket: zmqio.Socket) -> None:
    socket.data["seen"] = True


io.on("plain", plain)


class Log(zmqio.Observer):
    def disconnected(self, socket: zmqio.Socket, reason: str) -> None:
        print(socket.connection_id, reason)


io.observe(Log())
io.admin(username="ops", password="scrypt:...", mode="development", readonly=True)


class Quiet(zmqio.LocalAdapter):
    async def broadcast(self, frames: zmqio.Frames, target: zmqio.Target) -> None:
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


# Dynamic namespaces: a pattern, a plain function, a coroutine function.
rooms: zmqio.ParentNamespace = io.of(re.compile(r"^/room-\d+$"))


async def is_member(name: str, auth: Any) -> bool:
    return bool(auth)


@rooms.on("connect")
async def enter_room(socket: zmqio.Socket) -> None:
    assert_type(io.of(socket.namespace), zmqio.Namespace)
    assert_type(io.of(is_member), zmqio.ParentNamespace)
    assert_type(io.of(lambda name, auth: name == "/x"), zmqio.ParentNamespace)
    await rooms.to("lobby").volatile.emit("entered", socket.id)
    children: Mapping[str, zmqio.Namespace] = rooms.children
    print(children)


# Middleware and listeners of one socket.
@io.on("connected too")
async def socket_listeners(socket: zmqio.Socket) -> None:
    @socket.use
    async def check(event: str, args: list[Any]) -> None:
        if not args:
            raise PermissionError(event)

    @socket.on_any
    def listener(event: str, *args: Any) -> None:
        print(event, args)

    socket.on_any_outgoing(listener)
    socket.off_any(listener)
    await socket.volatile.emit("position", 1, 2)
    await socket.timeout(5).emit_with_ack("question")
    await socket.compress(False).to("lobby").emit("x")


@io.on_any
async def every_event(socket: zmqio.Socket, event: str, *args: Any) -> None:
    print(socket.id, event, args)


class Chat(zmqio.NamespaceHandlers):
    async def on_connect(self, socket: zmqio.Socket, auth: Any) -> None:
        await self.namespace.to("lobby").emit("joined", socket.id)

    @zmqio.event("chat message")
    async def say(self, socket: zmqio.Socket, text: str) -> str:
        return text


io.register("/classes", Chat())
io.register(re.compile("^/class-"), Chat())
zmqio.Server(parser=zmqio.MsgpackParser(), concurrent_events=True)


# A plain function in a thread.
@io.on("resize")
@zmqio.in_thread
def resize(socket: zmqio.Socket, picture: bytes) -> bytes:
    return picture


# Events with a signature.
said = zmqio.TypedEvent[[str, int], bool]("chat message")
notified = zmqio.TypedEvent[[str], None]("notified")


@said.on(io)
async def on_said(socket: zmqio.Socket, text: str, number: int) -> bool:
    return len(text) > number


@said.on(chat)
def on_said_plainly(socket: zmqio.Socket, text: str, number: int) -> bool:
    return True


@notified.on(rooms)
async def on_notified(socket: zmqio.Socket, text: str) -> None: ...


@said.on(io)  # type: ignore[arg-type]
async def takes_something_else(socket: zmqio.Socket, text: bytes, number: int) -> bool:
    return True


@said.on(io)  # type: ignore[arg-type]
async def returns_something_else(socket: zmqio.Socket, text: str, number: int) -> str:
    return text


async def typed_events(socket: zmqio.Socket, remote: zmqio.RemoteSocket) -> None:
    await said.emit(io, "hello", 1)
    await said.emit(io.to("lobby").volatile, "hello", 1)
    await notified.emit(rooms, "hello")
    await notified.emit(socket, "hello")
    await notified.emit(socket.volatile, "hello")
    assert_type(await said.ask(socket, "agreed?", 1), bool)
    assert_type(await said.ask(socket.timeout(5), "agreed?", 1), bool)
    assert_type(await said.ask(remote, "agreed?", 1), bool)
    assert_type(await said.ask_all(io.timeout(5), "agreed?", 1), list[bool])
    await said.emit(io, "hello", "not a number")  # type: ignore[arg-type]
    await said.emit(io, "hello")  # type: ignore[call-arg]
    waits: Awaitable[bool] = said.ask(socket, "agreed?", 1)
    print(waits)


@io.on_bus_gap
async def on_gap(gap: zmqio.BusGap) -> None:
    assert_type(gap.messages, int | None)
    await io.emit("fetch again", gap.first, gap.last)


async def stopping() -> None:
    print(io.health_app(live_path="/up", ready_path=None), io.asgi(ready_path="/ready"))
    await io.close(drain_s=30)
    await io.close()
