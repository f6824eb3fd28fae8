"""The names of python-socketio and python-engineio that `zmqio.python_socketio` uses beyond their documentation.

If one of these tests fails with a new release, read what has changed there before the range in `pyproject.toml`
is extended.
"""

import inspect
from importlib.metadata import requires

import engineio
import pytest
import socketio
from engineio.async_socket import AsyncSocket
from engineio.packet import MESSAGE
from engineio.packet import Packet as EnginePacket
from socketio.async_pubsub_manager import AsyncPubSubManager
from socketio.base_manager import BaseManager
from socketio.packet import Packet

from tests.support.psio_harness import ManagedServer
from tests.support.timing import wait_until

HAS_PRE_CONNECT = hasattr(BaseManager, "pre_connect")
"""From python-socketio 5.18 on."""


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_the_range_of_releases_is_pinned() -> None:
    pinned = [line for line in requires("zmqio") or [] if line.startswith("python-socketio")]
    assert any("<5." in line and ">=5." in line for line in pinned)


def test_the_interface_that_the_server_calls() -> None:
    for name in ("connect", "disconnect", "enter_room", "leave_room", "close_room", "emit"):
        assert inspect.iscoroutinefunction(getattr(socketio.AsyncManager, name)), name
    if HAS_PRE_CONNECT:
        assert inspect.iscoroutinefunction(socketio.AsyncManager.pre_connect)
        assert parameters(socketio.AsyncManager.pre_connect) == ["self", "eio_sid", "namespace"]
        assert parameters(socketio.AsyncManager.connect) == ["self", "sid", "namespace"]
        assert parameters(BaseManager.is_pre_connected) == ["self", "sid", "namespace"]
    else:
        assert parameters(socketio.AsyncManager.connect) == ["self", "eio_sid", "namespace"]
    assert parameters(socketio.AsyncManager.enter_room) == ["self", "sid", "namespace", "room", "eio_sid"]
    assert parameters(socketio.AsyncManager.leave_room) == ["self", "sid", "namespace", "room"]
    assert parameters(socketio.AsyncManager.can_disconnect) == ["self", "sid", "namespace"]
    assert parameters(AsyncPubSubManager.emit)[:8] == [
        "self",
        "event",
        "data",
        "namespace",
        "room",
        "skip_sid",
        "callback",
        "to",
    ]
    theirs = {name for name in vars(AsyncPubSubManager) if not name.startswith("_")} - {"name"}
    assert theirs == {
        "initialize",
        "emit",
        "can_disconnect",
        "disconnect",
        "enter_room",
        "leave_room",
        "close_room",
    }


def test_the_tables_of_a_manager() -> None:
    tables = vars(socketio.AsyncManager())
    assert [type(tables[name]) for name in ("rooms", "callbacks", "pending_disconnect")] == [dict] * 3
    assert parameters(BaseManager.basic_enter_room) == ["self", "sid", "namespace", "room", "eio_sid"]
    assert parameters(BaseManager.basic_leave_room) == ["self", "sid", "namespace", "room"]
    assert parameters(BaseManager._generate_ack_id) == ["self", "sid", "callback"]
    assert parameters(BaseManager.sid_from_eio_sid) == ["self", "eio_sid", "namespace"]


@pytest.mark.skipif(not HAS_PRE_CONNECT, reason="before python-socketio 5.18")
async def test_connecting_lists_in_the_tables() -> None:
    manager = socketio.AsyncManager()
    manager.set_server(socketio.AsyncServer(async_mode="asgi", client_manager=manager))
    sid = await manager.pre_connect("eio", "/")
    assert manager.rooms == {"/": {None: {sid: "eio"}, sid: {sid: "eio"}}}
    assert manager.pending_connect == {"/": [sid]}
    await manager.connect(sid, "/")
    assert manager.pre_disconnect(sid, "/") == "eio"
    assert (manager.pending_connect, manager.pending_disconnect) == ({}, {"/": [sid]})
    assert manager._generate_ack_id(sid, print) == 1
    assert manager.callbacks[sid][1] is print


def test_the_server_knows_its_sockets_and_their_environment() -> None:
    server = socketio.AsyncServer(async_mode="asgi")
    assert (server.environ, server.eio.sockets, server.packet_class) == ({}, {}, Packet)
    assert server.reason.SERVER_DISCONNECT == "server disconnect"
    assert server.reason.TRANSPORT_ERROR == "transport error"
    assert parameters(server.disconnect) == ["sid", "namespace", "ignore_queue"]


async def test_the_socket_of_the_engine() -> None:
    socket = AsyncSocket(engineio.AsyncServer(async_mode="asgi"), "eio")
    assert (socket.closed, socket.closing, socket.sid, socket.queue.qsize()) == (False, False, "eio", 0)
    assert parameters(socket.close) == ["wait", "abort", "reason"]
    socket.queue.put_nowait(EnginePacket(MESSAGE, "x"))
    socket.queue.put_nowait(None)
    assert [packet.encode() for packet in await socket.poll()] == ["4x"]
    assert await socket.poll() == []  # None ends the writer of a WebSocket


async def test_the_events_of_the_engine_reach_the_server() -> None:
    async with ManagedServer() as node:
        received: list[object] = []
        node.sio.on("connect", lambda sid, environ, auth: received.append(auth))
        node.sio.on("say", lambda sid, *args: received.extend(args))
        await node.connect("eio")
        await node.say("eio", '2["say",1]', '51-["say",{"_placeholder":true,"num":0}]', b"2")
        await wait_until(lambda: len(received) == 3, "the events")
        assert received == [None, 1, b"2"]
