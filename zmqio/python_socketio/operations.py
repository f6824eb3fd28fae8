"""The operations of a python-socketio manager on every node, common to the async and the threaded manager.

Runs in the node's event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from zmqio.adapter.base import Adapter, Target
from zmqio.config import ManagerOptions
from zmqio.exceptions import RequestTimeoutError, TopicError, ZmqioError
from zmqio.ids import Sid, make_sid
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.protocol.packet import AckableFrames, Packet, PacketType
from zmqio.protocol.socketio_values import arguments, is_text, room_name, room_names, skipped_sids
from zmqio.python_socketio.connection import ManagedConnection
from zmqio.python_socketio.host import ServerHost
from zmqio.python_socketio.namespace import ManagerNamespace, ManagerRuntime
from zmqio.python_socketio.node import ManagerNode
from zmqio.server.targeting import check_event

__all__ = ["CALLBACK_WITHOUT_ROOM", "ClusterOperations"]

log = LimitedLog(get_logger(__name__))

CALLBACK_WITHOUT_ROOM = (
    "Cannot use callback without a room set. To ask every client, use "
    "`manager.cluster(namespace).emit_with_ack(...)`"
)
"""Begins with the text of python-socketio."""


class ClusterOperations:
    """Emits, and moves clients between rooms, on every node.

    Args:
        manager: the tables of python-socketio.
        node: this process in the cluster.
        runtime: the parser and the limits.
        host: acts on clients, and runs the application's callbacks.
    """

    def __init__(self, manager: Any, node: ManagerNode, runtime: ManagerRuntime, host: ServerHost) -> None:
        self._manager = manager
        self._node = node
        self._runtime = runtime
        self._host = host

    @property
    def _options(self) -> ManagerOptions:
        return self._runtime.options

    async def pre_connect(self, eio_sid: str, namespace: str) -> Sid | None:
        """Register a client that asks to join a namespace; None if it has joined before, or has gone."""
        try:
            space = await self._space(namespace)
        except TopicError:
            return None
        manager = self._manager
        socket = manager.server.eio.sockets.get(eio_sid)
        if socket is None or manager.sid_from_eio_sid(eio_sid, namespace) is not None:
            return None
        sid = make_sid(self._node.identity.tag)
        manager.basic_enter_room(sid, namespace, None, eio_sid=eio_sid)
        manager.pending_connect.setdefault(namespace, []).append(sid)
        space.sockets.connections[sid] = ManagedConnection(socket, self._options, self._host.close_slow_client)
        await space.adapter.add(sid, (sid,))
        return sid

    def is_pre_connected(self, sid: str, namespace: str) -> bool:
        """Whether the connect handler of a client has not ended; before python-socketio 5.18 always False."""
        return sid in self._manager.pending_connect.get(namespace, ())

    async def connect(self, sid: str, namespace: str) -> Sid | None:
        """Mark a client as connected, or disconnect it if it has gone while its connect handler ran.

        Args:
            sid: the session id from `pre_connect`, or the Engine.IO id: a server before python-socketio 5.18 does
                not call `pre_connect`.
            namespace: its namespace.

        Returns:
            The session id; None as from `pre_connect`.
        """
        connected = Sid(sid) if self.is_pre_connected(sid, namespace) else await self.pre_connect(sid, namespace)
        if connected is None:
            return None
        _remove(self._manager.pending_connect, namespace, connected)
        if self._manager.eio_sid_from_sid(connected, namespace) not in self._manager.server.environ:
            self._host.disconnect(connected, namespace)
        return connected

    def forget(self, sid: Sid, namespace: str) -> None:
        """Remove a client of this process that has disconnected. Does nothing for other ids."""
        manager = self._manager
        space = self._node.namespaces.get(namespace)
        if space is not None and space.is_open:
            space.adapter.remove_all(sid)
            space.sockets.remove(sid)
        manager.basic_leave_room(sid, namespace, None)
        _remove(manager.pending_connect, namespace, sid)
        _remove(manager.pending_disconnect, namespace, sid)

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str | None,
        *,
        room: Any = None,
        skip_sid: Any = None,
        callback: Callable[..., Any] | None = None,
        local: bool = False,
    ) -> None:
        """Send an event to clients of every node.

        Raises:
            ValueError: a callback without a room.
            TypeError: a room is neither a string nor an integer.
            PacketError: the event has a reserved name, or a value cannot be encoded.
            BusError: the other nodes did not receive the event; the clients of this process did.
        """
        if callback is not None and room is None:
            raise ValueError(CALLBACK_WITHOUT_ROOM)
        space = await self._space(namespace)
        check_event(event)
        self._count_room(room)
        target = Target(room_names(room), skipped_sids(skip_sid), local=local)
        packet = Packet(PacketType.EVENT, space.name, [event, *arguments(data)])
        if callback is None:
            await space.adapter.broadcast(self._runtime.parser.encode(packet), target)
        else:
            await self._ask(space.adapter, self._runtime.parser.encode_ackable(packet), target, callback)

    async def can_disconnect(self, sid: Sid, namespace: str) -> bool:
        """Whether this process can disconnect the client; a client of another node is disconnected there."""
        connected = bool(self._manager.is_connected(sid, namespace))
        if connected or self.is_pre_connected(sid, namespace):
            return connected
        await self.disconnect(sid, namespace)
        return False

    async def disconnect(self, sid: Sid, namespace: str | None) -> None:
        """Disconnect a client of any node."""
        space = await self._space(namespace)
        await space.adapter.disconnect_sockets(Target(frozenset((sid,))), close=False)

    async def enter_room(self, sid: Sid, namespace: str | None, room: Any) -> None:
        """Put a client of any node in a room; for one of this process, returns when this node receives for it.

        Raises:
            ValueError: the room is named after another client of this process.
            TypeError: the room is neither a string nor an integer.
        """
        space = await self._space(namespace)
        name = room_name(room)
        self._count_room(room)
        if sid != room and self._is_sid(space.name, room):
            raise ValueError("cannot enter a sid room")
        if not is_text(room):
            space.sockets.remember_room(name, room)
        if sid in space.sockets.connections:
            await space.adapter.add(sid, (name,))
        else:
            await space.adapter.add_sockets(Target(frozenset((sid,))), (name,))

    async def leave_room(self, sid: Sid, namespace: str | None, room: Any) -> None:
        """Take a client of any node out of a room."""
        space = await self._space(namespace)
        name = room_name(room)
        if sid in space.sockets.connections:
            space.adapter.remove(sid, name)
        else:
            await space.adapter.remove_sockets(Target(frozenset((sid,))), (name,))

    async def close_room(self, room: Any, namespace: str | None) -> None:
        """Take every client of every node out of a room.

        Raises:
            ValueError: the room is named after a client of this process.
        """
        space = await self._space(namespace)
        name = room_name(room)
        if self._is_sid(space.name, room):
            raise ValueError("cannot close a sid room")
        await space.adapter.remove_sockets(Target(frozenset((name,))), (name,))

    async def _space(self, namespace: str | None) -> ManagerNamespace:
        space = self._node.namespace(namespace or "/")
        await space.ready()
        return space

    def _is_sid(self, namespace: str, room: Any) -> bool:
        return room in self._manager.rooms.get(namespace, {}).get(None, {})

    def _count_room(self, room: Any) -> None:
        if isinstance(room, int):
            self._node.counters["rooms_converted"] += 1

    async def _ask(
        self, adapter: Adapter, frames: AckableFrames, target: Target, callback: Callable[..., Any]
    ) -> None:
        errors: list[ZmqioError] = []
        asking = adapter.broadcast_with_ack(frames, target, self._options.callback_timeout_s)
        self._node.requests.spawn(self._call_back(asking, callback, errors))
        await asyncio.sleep(0)  # the request is published in this turn
        if errors:
            raise errors[0]

    async def _call_back(
        self, asking: Awaitable[list[list[Any]]], callback: Callable[..., Any], errors: list[ZmqioError]
    ) -> None:
        try:
            answers = await asking
        except RequestTimeoutError as error:
            answers = error.responses
        except ZmqioError as error:
            errors.append(error)
            self._node.counters["callback_requests_failed"] += 1
            log.warning("callback_request_failed", error=str(error))
            return
        for answer in answers:
            await self._host.call_back(callback, answer)


def _remove(pending: dict[str, list[str]], namespace: str, sid: str) -> None:
    """Take a client out of one of python-socketio's tables of clients that come or go."""
    sids = pending.get(namespace, [])
    if sid in sids:
        sids.remove(sid)
        if not sids:
            del pending[namespace]
