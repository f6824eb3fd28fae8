"""The application of the nodes in the cluster tests: every operation of the server, commanded over HTTP.

`python -m tests.support.cluster_app CONFIG FD`, as `tests.support.node_app`. A GET of `/test/` gives the state, a
POST runs one command: `{"op": ..., ...}` -> `{"value": ...}`, or `{"error": ..., "responses": ..., ...}`. Binary
values travel as in `js_clients.pack`.
"""

import asyncio
import json
import socket as sockets
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from tests.support.js_clients import pack, unpack
from tests.support.node_config import NodeConfig
from zmqio.adapter.base import SocketDescription
from zmqio.buses import make_adapter
from zmqio.exceptions import RequestTimeoutError, ZmqioError
from zmqio.hosting.server import serve
from zmqio.ids import is_sid_shaped
from zmqio.logs import configure_logs
from zmqio.server.broadcast import Broadcast, RemoteSocket
from zmqio.server.namespace import Namespace
from zmqio.server.server import Server
from zmqio.server.socket import Socket

__all__ = ["NAMESPACES", "ClusterApp"]

NAMESPACES = ("/", "/custom")


class ClusterApp:
    """One node: handlers for clients and other nodes, and the commands of tests."""

    def __init__(self, io: Server, name: str) -> None:
        self._io = io
        self._name = name
        self.received: list[list[Any]] = []
        self.running = 0
        self.emptied: Counter[str] = Counter()
        self.joined: list[str] = []
        self.left: list[tuple[str, str]] = []
        io.on_node("joined")(self.joined.append)
        io.on_node("left")(lambda node_id, reason: self.left.append((node_id, reason)))
        io.of("/").on_room("delete-room")(self.room_is_empty)
        for namespace in NAMESPACES:
            self._register(io.of(namespace))

    def _register(self, namespace: Namespace) -> None:
        namespace.on("connect", self.connect)
        namespace.on("join", self.join)
        namespace.on("say", self.say)
        for event, listener in {
            "hello": self.hello,
            "who": self.who,
            "binary": self.binary,
            "silent": self.silent,
            "failing": self.failing,
        }.items():
            namespace.on_server_side(event)(listener)

    # Events of clients.

    async def connect(self, socket: Socket, auth: Any) -> None:
        """Take `socket.data` and rooms from the auth payload."""
        wishes = auth or {}
        socket.data.update(wishes.get("data", {}))
        await socket.join(*wishes.get("rooms", ()))

    async def join(self, socket: Socket, room: str) -> str:
        """Enter a room; acknowledged once every node's messages reach it."""
        await socket.join(room)
        return "joined"

    async def say(self, socket: Socket, room: str, event: str, *args: Any) -> None:
        """Emit to a room from this node."""
        await self._io.of(socket.namespace).to(room).emit(event, *args)

    def room_is_empty(self, room: str) -> None:
        """Count the deleted room, unless it belongs to a single socket."""
        if not is_sid_shaped(room):
            self.emptied[room] += 1

    # Events of other nodes.

    def hello(self, *args: Any) -> None:
        """Record the event."""
        self.received.append(list(args))

    def who(self) -> str:
        """The name of this node."""
        return self._name

    def binary(self, value: bytes) -> tuple[str, bytes]:
        """Return two values, one of them the received one, reversed."""
        return self._name, value[::-1]

    async def silent(self, name: str) -> str:
        """Answer, except on the node of that name, which never answers."""
        if name == self._name:
            self.received.append(["silent"])
            await asyncio.Event().wait()
        return self._name

    def failing(self, name: str) -> str:
        """Answer, except on the node of that name, which fails."""
        if name == self._name:
            raise ValueError("this listener fails")
        return self._name

    # Commands of tests.

    async def run(self, command: dict[str, Any]) -> dict[str, Any]:
        """Run one command; errors of the server are its result."""
        self.running += 1
        try:
            value = await self._run(command)
        except RequestTimeoutError as error:
            responses = [_plain(response) for response in error.responses]
            facts = {"responses": pack(responses), "expected": error.expected, "missing": error.missing}
            return {"error": type(error).__name__, "message": str(error), **facts}
        except ZmqioError as error:
            return {"error": type(error).__name__, "message": str(error)}
        finally:
            self.running -= 1
        return {"value": pack(value)}

    async def _run(self, command: dict[str, Any]) -> Any:
        namespace = self._io.of(command.get("namespace", "/"))
        operation = _operation(namespace.broadcast(), command)
        event, args = command.get("event", ""), unpack(command.get("args", []))
        names, timeout = command.get("names", ()), command.get("timeout")
        runs: dict[str, Callable[[], Awaitable[Any]]] = {
            "emit": lambda: operation.emit(event, *args),
            "ask": lambda: operation.emit_with_ack(event, *args),
            "fetch": lambda: _described(operation),
            "join": lambda: operation.sockets_join(*names),
            "leave": lambda: operation.sockets_leave(*names),
            "disconnect": lambda: operation.disconnect_sockets(close=command.get("close", False)),
            "tell_nodes": lambda: namespace.server_side_emit(event, *args),
            "ask_nodes": lambda: namespace.server_side_emit_with_ack(event, *args, timeout=timeout),
            "rooms": lambda: _sorted_rooms(namespace),
            "remote": lambda: _remote(operation, command["do"], event, args, names),
            "flood": lambda: _flood(namespace, command["rooms"], command["count"]),
        }
        return await runs[command["op"]]()

    def state(self) -> dict[str, Any]:
        """The state that tests inspect."""
        health = self._io.health()
        running = self._io.running
        return {
            "node_id": self._io.node_id if running else None,
            "server_count": self._io.server_count() if running else 0,
            "ready": health.ready,
            "health_details": dict(health.details),
            "received": pack(self.received),
            "running": self.running,
            "sockets": len(self._io.of("/").sockets) if running else 0,
            "emptied": self.emptied,
            "joined": self.joined,
            "left": self.left,
        }


def _operation(operation: Broadcast, command: dict[str, Any]) -> Broadcast:
    operation = operation.except_(*command.get("except_", ()))
    if "rooms" in command:
        operation = operation.to(command["rooms"])
    if command.get("local"):
        operation = operation.local
    if command.get("volatile"):
        operation = operation.volatile
    return operation if command.get("timeout") is None else operation.timeout(command["timeout"])


def _plain(response: Any) -> Any:
    """A response in a form that JSON allows; a socket becomes its id."""
    return response.sid if isinstance(response, SocketDescription) else getattr(response, "id", response)


async def _described(operation: Broadcast) -> list[dict[str, Any]]:
    return [
        {
            "sid": one.id,
            "node_id": one.node_id,
            "rooms": sorted(one.rooms),
            "data": dict(one.data),
            "handshake": dict(one.handshake),
        }
        for one in await operation.fetch_sockets()
    ]


async def _sorted_rooms(namespace: Namespace) -> list[str]:
    return sorted(await namespace.rooms())


async def _remote(operation: Broadcast, do: str, event: str, args: list[Any], names: list[str]) -> Any:
    """Fetch one socket, and run one operation through its `RemoteSocket`."""
    remote: RemoteSocket
    (remote,) = await operation.fetch_sockets()
    runs: dict[str, Callable[[], Awaitable[Any]]] = {
        "emit": lambda: remote.emit(event, *args),
        "ask": lambda: remote.emit_with_ack(event, *args),
        "join": lambda: remote.join(*names),
        "leave": lambda: remote.leave(*names),
        "disconnect": lambda: remote.disconnect(close=True),
    }
    return await runs[do]()


async def _flood(namespace: Namespace, rooms: list[str], count: int) -> None:
    """Emit to the rooms in turn, as fast as this process can."""
    for number in range(count):
        await namespace.to(rooms[number % len(rooms)]).emit("flood", number)


class _Control:
    """An ASGI app: state by GET, commands by POST; knows no lifespan."""

    def __init__(self, node: ClusterApp) -> None:
        self._node = node

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        if scope["method"] == "POST":
            result = await self._node.run(json.loads(await _read(receive)))
        else:
            result = self._node.state()
        body = json.dumps(result).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _read(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _serve(config: NodeConfig, listener: sockets.socket) -> None:
    adapter = None if config.adapter is None else make_adapter(config.adapter, **config.bus)
    io = Server(adapter, **config.options)
    node = ClusterApp(io, config.name)
    await io.start()
    await serve(io.asgi(_Control(node)), listener=listener, before_shutdown=io.close)


def main() -> None:
    """Run one node until SIGINT or SIGTERM."""
    config = NodeConfig.from_json(sys.argv[1])
    listener = sockets.socket(fileno=int(sys.argv[2]))
    configure_logs("json", "info", node=config.name)
    asyncio.run(_serve(config, listener))


if __name__ == "__main__":
    main()
