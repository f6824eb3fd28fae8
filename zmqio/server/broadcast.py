"""Operations on many sockets: the target is collected first, the last call acts on it.

`io.to("a").to("b").except_("c").volatile.emit("news", 1)`; `Targeting` describes the steps.

Source: `BroadcastOperator` of Socket.IO v4, https://socket.io/docs/v4/server-api/#server
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from zmqio.adapter.base import Adapter, SocketDescription, Target
from zmqio.exceptions import RequestTimeoutError, SocketGoneError
from zmqio.ids import Sid
from zmqio.protocol.packet import Packet, PacketType
from zmqio.protocol.parser import Parser
from zmqio.protocol.room_names import Rooms, room_names
from zmqio.server.acks import ack_value
from zmqio.server.targeting import Targeting, check_event
from zmqio.tracing import Tracing, emitting

__all__ = ["Broadcast", "BroadcastNamespace", "RemoteSocket"]

SLICE_SOCKETS = 2_000
"""Remote sockets created in one turn of the event loop: about 3 ms (the target is 10 ms)."""

_EVERYONE = Target()


class BroadcastOptions(Protocol):
    """The options that a broadcast uses."""

    @property
    def request_timeout_s(self) -> float:
        """Seconds to wait for responses of other nodes."""


class BroadcastRuntime(Protocol):
    """The part of a `Runtime` that a broadcast uses."""

    @property
    def options(self) -> BroadcastOptions:
        """The options."""

    @property
    def parser(self) -> Parser:
        """Encodes the events."""

    @property
    def tracing(self) -> Tracing | None:
        """Makes spans, if anything is traced."""

    def note_tuple(self, event: str, args: Sequence[Any]) -> None:
        """Called with the arguments of every event."""


class BroadcastNamespace(Protocol):
    """The part of a namespace that a broadcast uses. `adapter` and `runtime` exist once `ready` has returned."""

    name: str

    @property
    def adapter(self) -> Adapter:
        """Its rooms, and the other nodes."""

    @property
    def runtime(self) -> BroadcastRuntime:
        """The shared parts of the server."""

    async def ready(self) -> None:
        """Open the namespace if it is not open."""


class Broadcast(Targeting):
    """An operation on sockets of one namespace, on every node.

    Example: `await io.to("lobby").except_(socket.id).emit("news", 1)`

    Args:
        namespace: the namespace.
        target: the sockets to reach; by default every socket of the namespace.
        timeout_s: seconds to wait for responses; None means the server option `request_timeout_s`.
    """

    __slots__ = ("_namespace", "_timeout_s")

    def __init__(
        self, namespace: BroadcastNamespace, target: Target = _EVERYONE, timeout_s: float | None = None
    ) -> None:
        self._namespace = namespace
        self._target = target
        self._timeout_s = timeout_s

    def timeout(self, seconds: float) -> "Broadcast":
        """Return the same operation; `emit_with_ack` and `fetch_sockets` wait at most `seconds` for responses."""
        return Broadcast(self._namespace, self._target, seconds)

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event to the target.

        Sockets of this process are written to before the call returns; other nodes receive the event through the
        broker.

        Args:
            event: the name of the event.
            args: JSON-like values and bytes.

        Raises:
            PacketError: an argument is neither JSON-like nor bytes, or the event name is reserved. Nothing was
                sent.
            BusError: other nodes did not receive the event. Sockets of this process did.
            RuntimeError: the caller does not run in the server's event loop. Use `zmqio.Emitter` there.
        """
        namespace = self._namespace
        await namespace.ready()
        check_event(event)
        runtime = namespace.runtime
        runtime.note_tuple(event, args)
        frames = runtime.parser.encode(Packet(PacketType.EVENT, namespace.name, [event, *args]))
        if runtime.tracing is None:
            await namespace.adapter.broadcast(frames, self._target)
            return
        with runtime.tracing.emitting(namespace.name, event):
            await namespace.adapter.broadcast(frames, self._target)

    async def send(self, *args: Any) -> None:
        """Send the event `message`: the same as `emit("message", *args)`."""
        await self.emit("message", *args)

    async def emit_with_ack(self, event: str, *args: Any) -> list[Any]:
        """Send an event to the target and collect the acknowledgement of every client that receives it.

        A client that disconnects is no longer waited for.

        Args:
            event: the name of the event.
            args: JSON-like values and bytes.

        Returns:
            One value per client, in order of arrival: None, the value, or a tuple of several values.

        Raises:
            RequestTimeoutError: some clients did not acknowledge in time; `.responses` contains the values
                received.
            PacketError, BusError, RuntimeError: as for `emit`.
        """
        namespace = self._namespace
        await namespace.ready()
        check_event(event)
        namespace.runtime.note_tuple(event, args)
        packet = Packet(PacketType.EVENT, namespace.name, [event, *args])
        frames = namespace.runtime.parser.encode_ackable(packet)
        try:
            with emitting(namespace.runtime.tracing, namespace.name, event):
                answers = await namespace.adapter.broadcast_with_ack(frames, self._target, self._limit_s)
        except RequestTimeoutError as error:
            raise error.with_responses([ack_value(answer) for answer in error.responses]) from None
        return [ack_value(answer) for answer in answers]

    async def fetch_sockets(self) -> list["RemoteSocket"]:
        """Get a snapshot of the target's sockets from every node.

        Raises:
            RequestTimeoutError: a live node did not respond in time; `.responses` contains the sockets received,
                `.missing` the ids of the silent nodes.
            BusError: the request did not reach the other nodes.
        """
        await self._namespace.ready()
        try:
            found = await self._namespace.adapter.fetch_sockets(self._target, self._limit_s)
        except RequestTimeoutError as error:
            raise error.with_responses(await self._remote_sockets(error.responses)) from None
        return await self._remote_sockets(found)

    async def sockets_join(self, *rooms: Rooms) -> None:
        """Add the target's sockets to rooms, on every node.

        Args:
            rooms: names, or lists of names.

        Raises:
            TypeError, TopicError: a room name is invalid; see `to`.
            BusError: other nodes did not receive the request. Sockets of this process have joined.
        """
        await self._namespace.ready()
        await self._namespace.adapter.add_sockets(self._target, room_names("sockets_join", rooms))

    async def sockets_leave(self, *rooms: Rooms) -> None:
        """Remove the target's sockets from rooms, on every node. Raises as `sockets_join`."""
        await self._namespace.ready()
        await self._namespace.adapter.remove_sockets(self._target, room_names("sockets_leave", rooms))

    async def disconnect_sockets(self, *, close: bool = False) -> None:
        """Disconnect the target's sockets, on every node.

        Args:
            close: also disconnect these clients from all other namespaces and close their connections.

        Raises:
            BusError: other nodes did not receive the request. Sockets of this process are disconnected.
        """
        await self._namespace.ready()
        await self._namespace.adapter.disconnect_sockets(self._target, close=close)

    async def _remote_sockets(self, found: Sequence[SocketDescription]) -> list["RemoteSocket"]:
        sockets: list[RemoteSocket] = []
        for start in range(0, len(found), SLICE_SOCKETS):
            if start:
                await asyncio.sleep(0)
            some = found[start : start + SLICE_SOCKETS]
            sockets += [RemoteSocket(each, self._namespace, local=self._target.local) for each in some]
        return sockets

    @property
    def _limit_s(self) -> float:
        if self._timeout_s is not None:
            return self._timeout_s
        return self._namespace.runtime.options.request_timeout_s

    def _with(self, target: Target) -> "Broadcast":
        return Broadcast(self._namespace, target, self._timeout_s)


class RemoteSocket:
    """A snapshot of a socket of any node, as returned by `fetch_sockets`.

    Attributes:
        id, handshake, rooms, data: copies of the socket's attributes; changing them has no effect on the socket.
        node_id: the node that holds the socket.
    """

    __slots__ = ("_local", "_namespace", "data", "handshake", "id", "node_id", "rooms")

    def __init__(
        self, description: SocketDescription, namespace: BroadcastNamespace, *, local: bool = False
    ) -> None:
        self.id: Sid = description.sid
        self.handshake = description.handshake
        self.rooms = frozenset(description.rooms)
        self.data = description.data
        self.node_id = description.node_id
        self._namespace = namespace
        self._local = local

    def __repr__(self) -> str:
        return f"<RemoteSocket {self.id} of node {self.node_id}>"

    @property
    def _operation(self) -> Broadcast:  # created on use: thousands may be fetched and few written to
        return Broadcast(self._namespace, Target(rooms=frozenset((self.id,)), local=self._local))

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event to this socket. Raises as `Broadcast.emit`."""
        await self._operation.emit(event, *args)

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Send an event to this socket and wait for its acknowledgement.

        Args:
            event: the name of the event.
            args: JSON-like values and bytes.
            timeout: seconds to wait; None means the server option `request_timeout_s`.

        Returns:
            None, the value, or a tuple of several values.

        Raises:
            SocketGoneError: the client has disconnected, or disconnects before it acknowledges.
            RequestTimeoutError, PacketError, BusError: as for `Broadcast.emit_with_ack`.
        """
        operation = self._operation if timeout is None else self._operation.timeout(timeout)
        answers = await operation.emit_with_ack(event, *args)
        if not answers:
            raise SocketGoneError(f"socket {self.id} did not acknowledge {event!r}: its client has disconnected")
        return answers[0]

    async def join(self, *rooms: Rooms) -> None:
        """Add this socket to rooms. Raises as `Broadcast.sockets_join`."""
        await self._operation.sockets_join(*rooms)

    async def leave(self, *rooms: Rooms) -> None:
        """Remove this socket from rooms. Raises as `Broadcast.sockets_leave`."""
        await self._operation.sockets_leave(*rooms)

    async def disconnect(self, *, close: bool = False) -> None:
        """Disconnect this socket; with `close`, its whole connection. Raises as `Broadcast.disconnect_sockets`."""
        await self._operation.disconnect_sockets(close=close)
