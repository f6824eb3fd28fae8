"""A node that runs a server of python-socketio on zmqio's broker; commanded over HTTP as `cluster_app`.

`python -m tests.support.psio_app CONFIG FD`. `options` of the configuration are those of `socketio.AsyncServer`.
"""

import asyncio
import json
import socket as sockets
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import socketio
import uvicorn

from tests.support.js_clients import pack, unpack
from tests.support.node_config import NodeConfig
from zmqio.exceptions import ZmqioError
from zmqio.logs import configure_logs
from zmqio.python_socketio import AsyncManager

__all__ = ["Control", "PsioApp", "flood"]

NAMESPACES = ("/", "/custom")


class PsioApp:
    """One node: handlers for clients, and the commands of tests."""

    def __init__(self, sio: Any, manager: AsyncManager, name: str) -> None:
        self._sio = sio
        self._manager = manager
        self._name = name
        self.received: list[list[Any]] = []
        self.disconnected: list[list[Any]] = []
        self.called_back: list[list[Any]] = []
        self.gaps = 0
        manager.on_bus_gap(self.gap)
        for namespace in NAMESPACES:
            self._register(namespace)

    def _register(self, namespace: str) -> None:
        async def connect(sid: str, environ: Any, auth: Any) -> bool | None:
            wishes = auth or {}
            if "refuse" in wishes:
                raise socketio.exceptions.ConnectionRefusedError(wishes["refuse"])
            for room in wishes.get("rooms", ()):
                await self._sio.enter_room(sid, room, namespace)
            return None

        async def disconnect(sid: str, reason: str) -> None:
            self.disconnected.append([sid, reason])

        async def join(sid: str, room: str) -> str:
            await self._sio.enter_room(sid, room, namespace)
            return "joined"

        async def echo(sid: str, *args: Any) -> Any:
            return args

        for handler in (connect, disconnect, join, echo):
            self._sio.on(handler.__name__, handler, namespace=namespace)
        self._manager.cluster(namespace).on_server_side("hello")(lambda *args: self.received.append(list(args)))
        self._manager.cluster(namespace).on_server_side("who")(lambda: self._name)

    def gap(self, gap: Any) -> None:
        """Count a loss."""
        self.gaps += 1

    async def run(self, command: dict[str, Any]) -> dict[str, Any]:
        """Run one command; errors are its result."""
        try:
            return {"value": pack(await self._run(command))}
        except (ZmqioError, TypeError, ValueError, socketio.exceptions.SocketIOError) as error:
            return {"error": type(error).__name__, "message": str(error)}

    async def _run(self, command: dict[str, Any]) -> Any:
        sio, namespace = self._sio, command.get("namespace", "/")
        cluster = self._manager.cluster(namespace)
        event, args, to = command.get("event", ""), unpack(command.get("args", [])), command.get("to")
        sid, room = command.get("sid", ""), command.get("room")
        runs: dict[str, Callable[[], Awaitable[Any]]] = {
            "emit": lambda: sio.emit(
                event,
                tuple(args),
                to=to,
                skip_sid=command.get("skip"),
                namespace=namespace,
                ignore_queue=command.get("local", False),
            ),
            "emit_callback": lambda: sio.emit(
                event,
                tuple(args),
                to=to,
                namespace=namespace,
                callback=lambda *a: self.called_back.append(list(a)),
            ),
            "call": lambda: sio.call(
                event, tuple(args), to=to, namespace=namespace, timeout=command.get("timeout", 20)
            ),
            "enter": lambda: sio.enter_room(sid, room, namespace=namespace),
            "leave": lambda: sio.leave_room(sid, room, namespace=namespace),
            "close": lambda: sio.close_room(room, namespace=namespace),
            "disconnect": lambda: sio.disconnect(sid, namespace=namespace),
            "fetch": lambda: _fetch(cluster, to),
            "except": lambda: cluster.except_(*command.get("rooms", ())).emit(event, *args),
            "join": lambda: cluster.to(to).sockets_join(room),
            "ask": lambda: (cluster.to(to) if to else cluster.broadcast()).emit_with_ack(event, *args),
            "ask_nodes": lambda: cluster.server_side_emit_with_ack("who"),
            "tell_nodes": lambda: cluster.server_side_emit("hello", *args),
            "rooms": lambda: _value(sio.rooms(sid, namespace)),
            "flood": lambda: flood(sio, **command),
        }
        return await runs[command["op"]]()

    def state(self) -> dict[str, Any]:
        """The state that tests inspect."""
        health = self._manager.health()
        details = dict(health.details)
        return {
            "node_id": details.get("node_id"),
            "server_count": details.get("nodes", 0) if health.ready else 0,
            "ready": health.ready,
            "health_details": details,
            "received": pack(self.received),
            "disconnected": self.disconnected,
            "called_back": pack(self.called_back),
            "gaps": self.gaps,
            "tables": sum(len(rooms) for rooms in self._manager.rooms.values()),
        }


async def _value(value: Any) -> Any:
    return value


async def _fetch(cluster: Any, to: Any) -> list[dict[str, Any]]:
    found = await (cluster.to(to) if to else cluster.broadcast()).fetch_sockets()
    return [
        {"sid": one.id, "node_id": one.node_id, "rooms": sorted(one.rooms), "handshake": dict(one.handshake)}
        for one in found
    ]


async def flood(
    sio: Any, *, rooms: list[str], first: int, count: int, event: str = "flood", **command: Any
) -> None:
    """Emit numbers to the rooms in turn."""
    for number in range(first, first + count):
        await sio.emit(event, number, to=rooms[number % len(rooms)])
        await asyncio.sleep(0.002)  # a pause, not a wait: the flood has to last


class Control:
    """An ASGI app: state by GET, commands by POST.

    Args:
        app: has `run(command)` and `state()`.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            body = b""
            while True:
                message = await receive()
                body += message.get("body", b"")
                if not message.get("more_body"):
                    break
            result = await self._app.run(json.loads(body))
        else:
            result = self._app.state()
        answer = json.dumps(result).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def main() -> None:
    """Run one node until SIGINT or SIGTERM."""
    config = NodeConfig.from_json(sys.argv[1])
    listener = sockets.socket(fileno=int(sys.argv[2]))
    configure_logs("json", "info", node=config.name)
    manager = AsyncManager(config.adapter or "", **config.bus)
    sio = socketio.AsyncServer(
        async_mode="asgi", client_manager=manager, namespaces=list(NAMESPACES), **config.options
    )
    app = PsioApp(sio, manager, config.name)
    asgi = socketio.ASGIApp(sio, Control(app), on_startup=manager.start, on_shutdown=manager.close)
    server = uvicorn.Config(asgi, log_config=None, access_log=False, timeout_graceful_shutdown=2)
    asyncio.run(uvicorn.Server(server).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
