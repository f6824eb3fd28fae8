"""The application that the node processes of the end-to-end tests run.

`python -m tests.support.node_app CONFIG FD`: CONFIG is a `NodeConfig`, FD the listening socket, which the test
made so that no port can be taken in between. Clients command it by events, tests look into it over HTTP under
`/test/`.
"""

import asyncio
import gc
import json
import socket as sockets
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
import structlog
import uvicorn
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config as HypercornConfig

from tests.support.node_config import NodeConfig
from zmqio.buses import make_adapter
from zmqio.config import Recovery
from zmqio.exceptions import ConnectRefused, ZmqioError
from zmqio.hosting.server import serve
from zmqio.logs import configure_logs
from zmqio.server.server import Server
from zmqio.server.socket import Socket

__all__ = ["NodeApp", "make_asgi_app"]

log = structlog.get_logger(__name__)

FLOOD_SLICE = 50
"""Messages of a flood between two pauses, so that a flood does not block the loop."""

REASONS_KEPT = 2_000
"""Newest disconnects whose reason is kept. The application must not grow itself when memory is measured."""


class NodeApp:
    """The handlers of one node, in the namespaces `/` and `/chat`."""

    def __init__(self, io: Server, name: str) -> None:
        self._io = io
        self._name = name
        self.reasons: dict[str, str] = {}
        self.nodes_joined: list[str] = []
        self.nodes_left: list[tuple[str, str]] = []
        io.on_node("joined")(self.nodes_joined.append)
        io.on_node("left")(lambda node_id, reason: self.nodes_left.append((node_id, reason)))
        for namespace in ("/", "/chat"):
            self._register(namespace)

    def _register(self, name: str) -> None:
        namespace = self._io.of(name)
        handlers: dict[str, Callable[..., Any]] = {
            "connect": self.connect,
            "disconnect": self.disconnect,
            "whoami": self.whoami,
            "echo": self.echo,
            "join": self.join,
            "leave": self.leave,
            "say": self.say,
            "say_all": self.say_all,
            "say_big": self.say_big,
            "flood": self.flood,
            "ask_me": self.ask_me,
            "ask_room": self.ask_room,
            "kick": self.kick,
            "remember": self.remember,
        }
        for event, handler in handlers.items():
            namespace.on(event, handler)

    async def connect(self, socket: Socket, auth: Any) -> None:
        """Emit from within the handler, and refuse the client if its auth payload says so."""
        await socket.emit("welcome", self._name, auth)
        if isinstance(auth, dict) and "refuse" in auth:
            raise ConnectRefused(auth["refuse"], {"code": 42, "node": self._name})

    async def disconnect(self, socket: Socket, reason: str) -> None:
        """Record the reason."""
        self.reasons[socket.id] = reason
        if len(self.reasons) > REASONS_KEPT:
            del self.reasons[next(iter(self.reasons))]
        log.info("disconnect_handler_ran", sid=socket.id, reason=reason)

    async def whoami(self, socket: Socket) -> dict[str, Any]:
        """Acknowledge with the server's data about the client."""
        return {
            "node": self._name,
            "node_id": self._io.node_id,
            "sid": socket.id,
            "transport": socket.transport,
            "rooms": sorted(socket.rooms),
            "data": socket.data,
            "recovered": socket.recovered,
            "recovery_gaps": list(socket.recovery_gaps),
            "auth": socket.handshake.auth,
            "address": socket.handshake.address,
            "headers": dict(socket.handshake.headers),
        }

    async def echo(self, _socket: Socket, *args: Any) -> tuple[Any, ...]:
        """Acknowledge with the received arguments."""
        return args

    async def join(self, socket: Socket, *rooms: str) -> str:
        """Enter rooms; acknowledged once every node's messages reach them."""
        return await _outcome(socket.join(*rooms))

    async def leave(self, socket: Socket, *rooms: str) -> str:
        """Leave rooms."""
        return await _outcome(socket.leave(*rooms))

    async def say(self, socket: Socket, room: str, event: str, *args: Any) -> str:
        """Emit to a room (or a sid) from this node."""
        return await _outcome(self._emit(socket, room, event, *args))

    async def _emit(self, socket: Socket, room: str, event: str, *args: Any) -> None:
        await self._io.of(socket.namespace).broadcast().to(room).emit(event, *args)

    async def say_all(self, socket: Socket, event: str, *args: Any) -> str:
        """Emit to all clients from this node."""
        return await _outcome(self._io.of(socket.namespace).broadcast().emit(event, *args))

    async def say_big(self, socket: Socket, room: str, size_bytes: int) -> str:
        """Emit one message of `size_bytes` to a room."""
        return await self.say(socket, room, "big", bytes(size_bytes))

    async def flood(self, socket: Socket, room: str, count: int, size_bytes: int) -> str:
        """Emit `count` messages of `size_bytes` to a room."""
        payload = "flood." * (size_bytes // 6)
        for number in range(count):
            await self._io.of(socket.namespace).broadcast().to(room).emit("flood", number, payload)
            if number % FLOOD_SLICE == 0:
                await asyncio.sleep(0.001)  # a pause, not a wait: lets the loop serve others
        return "ok"

    async def ask_me(self, socket: Socket, *args: Any) -> Any:
        """Ask the client, and acknowledge with its answer."""
        return {"answer": await socket.emit_with_ack("question", *args)}

    async def ask_room(self, socket: Socket, room: str, *args: Any) -> Any:
        """Ask all clients in a room, on every node, and acknowledge with all answers."""
        broadcast = self._io.of(socket.namespace).broadcast()
        return {"answers": await broadcast.to(room).emit_with_ack("question", *args)}

    async def remember(self, socket: Socket, key: str, value: Any) -> None:
        """Keep a value in the client's data."""
        socket.data[key] = value

    async def kick(self, socket: Socket, how: str) -> None:
        """Disconnect the client: from the `namespace`, or the whole `connection`."""
        await socket.disconnect(close=how == "connection")

    def state(self) -> dict[str, Any]:
        """The state that tests inspect."""
        running = self._io.running
        health = self._io.health()
        return {
            "node_id": self._io.node_id if running else None,
            "server_count": self._io.adapter.server_count() if running else 0,
            "ready": health.ready,
            "health_reasons": list(health.reasons),
            "health_details": dict(health.details),
            "reasons": self.reasons,
            "nodes_joined": self.nodes_joined,
            "nodes_left": self.nodes_left,
            "sids": list(self._io.of("/").sockets) if running else [],
        }

    def census(self) -> dict[str, Any]:
        """The objects of this process after a garbage collection."""
        gc.collect()
        engine = self._io.engine
        return {
            "sessions": len(engine.sessions),
            "session_ids": list(engine.sessions),
            "requests": engine.active_requests,
            "tasks": len(asyncio.all_tasks()),
            "objects": len(gc.get_objects()),
            "descriptors": psutil.Process().num_fds(),
            "resident_bytes": psutil.Process().memory_info().rss,
        }


async def _outcome(work: Awaitable[None]) -> str:
    try:
        await work
    except ZmqioError as error:
        return f"{type(error).__name__}: {error}"
    return "ok"


def make_asgi_app(config: NodeConfig) -> tuple[Server, Any]:
    """The server of a node, and its ASGI app."""
    adapter = None if config.adapter is None else make_adapter(config.adapter, **config.bus)
    options = dict(config.options)
    if isinstance(options.get("recovery"), dict):
        options["recovery"] = Recovery(**options["recovery"])
    io = Server(adapter=adapter, **options)
    node = NodeApp(io, config.name)
    if not config.mounted:
        return io, io.asgi(_Looks(node))
    from fastapi import FastAPI

    outer = FastAPI()
    outer.mount("/socket.io", io.asgi())
    outer.mount("/test", _Looks(node))
    return io, outer


class _Looks:
    """An ASGI app: the node's state or, under `/census`, its objects, as JSON; without lifespan."""

    def __init__(self, node: NodeApp) -> None:
        self._node = node

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        found = self._node.census() if scope["path"].endswith("/census") else self._node.state()
        body = json.dumps(found, default=repr).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _serve_fast(io: Server, app: Any, listener: sockets.socket) -> None:
    await io.start()
    await serve(app, listener=listener, before_shutdown=io.close)


def _serve_as_anybody_does(app: Any, listener: sockets.socket, lifespan: str) -> None:
    config = uvicorn.Config(
        app,
        lifespan=lifespan,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


def _serve_with_hypercorn(app: Any, listener: sockets.socket) -> None:
    config = HypercornConfig()
    config.bind = [f"fd://{listener.detach()}"]
    config.graceful_timeout = 2
    config.errorlog = None
    asyncio.run(hypercorn_serve(app, config))


def main() -> None:
    """Run one node until SIGINT or SIGTERM."""
    config = NodeConfig.from_json(sys.argv[1])
    listener = sockets.socket(fileno=int(sys.argv[2]))
    configure_logs("json", "info", node=config.name)
    io, app = make_asgi_app(config)
    if config.host == "fast":
        asyncio.run(_serve_fast(io, app, listener))
    elif config.host == "hypercorn":
        _serve_with_hypercorn(app, listener)
    else:
        _serve_as_anybody_does(app, listener, config.lifespan)


if __name__ == "__main__":
    main()
