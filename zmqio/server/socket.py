"""A socket: one client in one namespace.

A socket reaches its connection (`ClientConnection`) and its namespace (`SocketNamespace`) through the two
contracts declared here, and must not depend on anything else of either.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from zmqio.adapter.base import Adapter, SocketDescription
from zmqio.engine.direct_write import DirectWriter
from zmqio.engine.server import Prepared
from zmqio.exceptions import SocketGoneError
from zmqio.ids import NodeId, Sid
from zmqio.logger import get_logger
from zmqio.protocol.packet import Frames, Packet, PacketType
from zmqio.protocol.room_names import Rooms, room_names
from zmqio.server.acks import PendingAcks, ack_value
from zmqio.server.broadcast import Broadcast
from zmqio.server.event_budget import EventBudget
from zmqio.server.event_queue import EventPool, EventQueue
from zmqio.server.handshake import Handshake
from zmqio.server.observers import notify
from zmqio.server.runtime import Runtime
from zmqio.server.sending import EmitOptions
from zmqio.server.socket_listeners import ListenerMixin
from zmqio.server.targeting import check_event
from zmqio.tracing import emitting

if TYPE_CHECKING:
    from zmqio.recovery.session import RecoverableSession

__all__ = ["ClientConnection", "PacketHandler", "Socket", "SocketNamespace"]

log = get_logger(__name__)

SLICE_ROOMS = 250
"""Rooms that a socket joins in one iteration of the event loop: about 2 ms."""
MAX_QUEUED_PACKETS = 100_000
"""Packets that may be queued while the connect handler runs: as many as the send buffer takes at once by default.
Beyond it the client is disconnected."""
ACK_WAIT_FACTOR = 10
"""Multiple of `max_pending_events` that may be queued while an acknowledgement of this client is awaited."""


class ClientConnection(Protocol):
    """The connection of a socket's client, which its sockets in other namespaces share."""

    direct_writer: DirectWriter
    """Writes broadcasts to the client."""

    @property
    def event_budget(self) -> EventBudget:
        """Counts the events that are not handled yet, over all namespaces."""

    @property
    def connection_id(self) -> str:
        """Identifies the connection; not a secret."""

    @property
    def transport_name(self) -> str:
        """The current transport: `polling` or `websocket`."""

    def write(self, payload: Prepared, /, *, volatile: bool = False) -> None:
        """Write one packet; never blocks, never fails."""

    def remove_socket(self, socket: "Socket") -> None:
        """Remove a socket that the server has disconnected; the connection stays open."""

    def disconnect_all(self) -> None:
        """Disconnect the client from all namespaces and close the connection."""

    def abort(self, reason: str) -> None:
        """Close a connection that no longer works."""


PacketHandler = Callable[[tuple["Socket", Packet]], Awaitable[None]]
"""Passes an EVENT packet of a socket to the application and acknowledges it."""


class SocketNamespace(Protocol):
    """The part of a namespace that a socket uses.

    Attributes:
        name: the namespace's name.
    """

    name: str

    @property
    def adapter(self) -> Adapter:
        """Its rooms, and the other nodes."""

    @property
    def runtime(self) -> Runtime:
        """The parts and options that all namespaces of the server share."""

    def set_listening(self, socket: "Socket", listening: bool) -> None:
        """Start or stop reporting the events of broadcasts to a socket's outgoing listeners."""

    def next_ack_id(self) -> int:
        """Return an ack id that no socket of the namespace is waiting for."""

    def broadcast(self) -> Broadcast:
        """Return an operation on every socket of the namespace."""

    def confirm_connect(self, socket: "Socket") -> None:
        """Write broadcasts directly to the connection from now on; the CONNECT packet is about to be written."""

    def remove(self, socket: "Socket", reason: str) -> None:
        """Remove a socket from the namespace."""

    def note_change(self, socket: "Socket") -> None:
        """Note that the data of a socket that has a `session` may change."""

    def record_event(self, socket: "Socket", frames: Frames, *, volatile: bool) -> Frames:
        """Record an event to a socket that has a `session`, and append its offset."""


class _SocketState(Enum):
    IN_MIDDLEWARE = "in middleware"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


class Socket(ListenerMixin):
    """One client in one namespace; the first argument of every event handler.

    Attributes:
        id: the Socket.IO id; also the name of a room that contains only this socket.
        handshake: headers, query and auth payload that the client sent when it connected.
        listeners: middleware and catch-all listeners; None until the first is registered.
        gone_reason: why the client disconnected; "" as long as it has not.
        rejected: whether middleware has disconnected the socket, so that the client is refused.
        session: the session that the client can return to; None unless the server recovers sessions.
        recovered: whether the client returned to its session: it has its id, rooms and data, and receives the
            events that it missed. Always False unless the server option `recovery` is set.
        recovery_gaps: ids of the nodes whose events the client may have missed although it was recovered.
    """

    __slots__ = (
        "__weakref__",
        "_acks",
        "_connection",
        "_data",
        "_events",
        "_handle_packet",
        "_last_rooms",
        "_namespace",
        "_queued",
        "_state",
        "gone_reason",
        "handshake",
        "id",
        "recovered",
        "recovery_gaps",
        "rejected",
        "session",
    )

    def __init__(
        self,
        sid: Sid,
        namespace: SocketNamespace,
        handle_packet: PacketHandler,
        connection: ClientConnection,
        handshake: Handshake,
    ) -> None:
        self.id = sid
        self.handshake = handshake
        self._data: dict[str, Any] = {}
        self.gone_reason = ""
        self.rejected = False
        self.session: RecoverableSession | None = None
        self.recovered = False
        self.recovery_gaps: tuple[NodeId, ...] = ()
        self._namespace = namespace
        self._handle_packet = handle_packet
        self._connection = connection
        self._state = _SocketState.IN_MIDDLEWARE
        self._queued: list[Prepared] = []
        self._acks = PendingAcks()
        self._events: EventQueue[tuple[Socket, Packet]] | None = None
        self.listeners = None
        self._last_rooms: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<Socket {self.id} {self._namespace.name} {self._state.value}>"

    @property
    def namespace(self) -> str:
        """The name of the socket's namespace."""
        return self._namespace.name

    @property
    def data(self) -> dict[str, Any]:
        """A dict for the application. Other nodes see its JSON-like values through `fetch_sockets`.

        With the option `recovery`, read this attribute for each change: what is changed later through another
        reference is lost if the node dies.
        """
        if self.session is not None:
            self._namespace.note_change(self)
        return self._data

    @data.setter
    def data(self, data: dict[str, Any]) -> None:
        self._data = data
        if self.session is not None:
            self._namespace.note_change(self)

    @property
    def connected(self) -> bool:
        """Whether the client is connected and its CONNECT packet has been written."""
        return self._state is _SocketState.CONNECTED

    @property
    def transport(self) -> str:
        """The current transport: `polling` or `websocket`."""
        return self._connection.transport_name

    @property
    def connection_id(self) -> str:
        """Identifies the client's connection: the same for its sockets in all namespaces.

        Unlike the Engine.IO session id, it gives no access to the connection, so it may be shown and logged.
        """
        return self._connection.connection_id

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms of the socket, including its own id. After a disconnect: the rooms it was last in."""
        if self._state is _SocketState.DISCONNECTED:
            return self._last_rooms
        return frozenset(self._namespace.adapter.rooms_of(self.id))

    async def join(self, *rooms: Rooms) -> None:
        """Join rooms. When this returns, every node's messages to these rooms reach the socket.

        A socket joins up to 250 rooms at once, and more of them in slices, between which others are served. With
        several brokers, the call waits for the first to apply the subscription and at most `barrier_timeout_s` for
        the others. A broker that does not respond delays it by up to `dead_after_s`.
        Without any broker connection it returns immediately, and the subscription is applied on connect.

        Example: `await socket.join("lobby")`

        Args:
            rooms: names, or lists of names.

        Raises:
            TypeError: a room is neither a string nor a list of strings.
            TopicError: a room name contains a NUL character or cannot be encoded as UTF-8.
            SocketGoneError: the client has disconnected.
            RuntimeError: the caller does not run in the server's event loop.
        """
        self._namespace.runtime.check_loop()
        names = room_names("join", rooms)
        joined = [self._join(names[:SLICE_ROOMS])]
        for start in range(SLICE_ROOMS, len(names), SLICE_ROOMS):
            await asyncio.sleep(0)
            joined.append(self._join(names[start : start + SLICE_ROOMS]))
        for applied in joined:
            await applied

    async def leave(self, *rooms: Rooms) -> None:
        """Leave rooms. Rooms that the socket is not in are ignored.

        Args:
            rooms: names, or lists of names.

        Raises:
            TypeError, TopicError: as for `join`.
            RuntimeError: the caller does not run in the server's event loop.
        """
        self._namespace.runtime.check_loop()
        for room in room_names("leave", rooms):
            self._namespace.adapter.remove(self.id, room)

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event to this client. Does nothing if the client has disconnected.

        Args:
            event: the name of the event.
            args: JSON-like values and bytes.

        Raises:
            PacketError: an argument is neither JSON-like nor bytes, or the event name is reserved.
            RuntimeError: the caller does not run in the server's event loop. Use `zmqio.Emitter` there.
        """
        self.emit_nowait(event, args, volatile=False)

    async def send(self, *args: Any) -> None:
        """Send the event `message`: the same as `emit("message", *args)`."""
        await self.emit("message", *args)

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Send an event to this client and wait for its acknowledgement.

        Called in the connect handler, it confirms the connection to the client first. In middleware it raises:
        a client acknowledges only after it is admitted.

        Example: `answer = await socket.emit_with_ack("question", timeout=5)`

        Args:
            event: the name of the event.
            args: JSON-like values and bytes.
            timeout: seconds to wait; None waits as long as the client is connected.

        Returns:
            None, the value, or a tuple of several values.

        Raises:
            RequestTimeoutError: the client did not acknowledge in time.
            SocketGoneError: the client has disconnected, or disconnects before it acknowledges.
            PacketError: as for `emit`.
            RuntimeError: called in middleware, or as for `emit`.
        """
        runtime = self._namespace.runtime
        runtime.check_loop()
        check_event(event)
        runtime.note_tuple(event, args)
        if self._state is _SocketState.IN_MIDDLEWARE:
            raise RuntimeError(
                f"emit_with_ack({event!r}) cannot be used in middleware: the client acknowledges only after it is "
                "admitted; call it in the connect handler, or let the client send the value as `auth`"
            )
        if self._state is _SocketState.DISCONNECTED:
            raise SocketGoneError(f"socket {self.id} cannot acknowledge {event!r}: its client has disconnected")
        ack_id = self._namespace.next_ack_id()
        prepared = runtime.prepare(Packet(PacketType.EVENT, self._namespace.name, [event, *args], ack_id))
        runtime.counters["events_sent"] += 1
        runtime.counters["bytes_sent"] += sum(map(len, prepared.packets))
        self.notify_outgoing(event, args)
        self.confirm_connect()  # a client that is still connecting could not acknowledge
        if self._events is not None:
            self._events.release_reader()
        with emitting(runtime.tracing, self._namespace.name, event):
            return ack_value(await self._acks.wait(ack_id, lambda: self.write(prepared), timeout))

    @property
    def volatile(self) -> EmitOptions:
        """Options for an event that is dropped if the client cannot receive it immediately."""
        return EmitOptions(self).volatile

    def timeout(self, seconds: float) -> EmitOptions:
        """Return options for an event whose acknowledgement may take `seconds`."""
        return EmitOptions(self).timeout(seconds)

    def compress(self, _on: bool = True, /) -> EmitOptions:
        """Accepted for compatibility, without effect; see `Broadcast.compress`."""
        return EmitOptions(self)

    def to(self, *rooms: Rooms) -> Broadcast:
        """Return an operation on the members of rooms except this socket. Raises as `Broadcast.to`."""
        return self.broadcast.to(*rooms)

    in_ = to

    def except_(self, *rooms: Rooms) -> Broadcast:
        """Return an operation on every socket except this one and the members of rooms. Raises as `to`."""
        return self.broadcast.except_(*rooms)

    @property
    def broadcast(self) -> Broadcast:
        """An operation on every socket of the namespace except this one."""
        return self._namespace.broadcast().except_(self.id)

    async def disconnect(self, *, close: bool = False) -> None:
        """Disconnect the client from this namespace.

        The client sees the reason `io server disconnect` and does not reconnect by itself. In middleware, it
        refuses the client (`connect_error`) once the middleware returns.

        Args:
            close: also disconnect the client from all other namespaces and close the connection.

        Raises:
            RuntimeError: the caller does not run in the server's event loop.
        """
        self._namespace.runtime.check_loop()
        self.disconnect_nowait(close=close)

    # Below: for the namespace and the client, not for applications.

    def emit_nowait(self, event: str, args: Sequence[Any], *, volatile: bool) -> None:
        """Send an event to this client; the same as `emit`, for callers that cannot await."""
        runtime = self._namespace.runtime
        runtime.check_loop()
        check_event(event)
        if self.session is None and self._state is _SocketState.DISCONNECTED:
            return  # before encoding: handlers may go on sending to a client that was dropped
        runtime.note_tuple(event, args)
        if runtime.tracing is not None:
            with runtime.tracing.emitting(self._namespace.name, event):
                pass  # a span without duration: writing to one client awaits nothing
        frames = runtime.parser.encode(Packet(PacketType.EVENT, self._namespace.name, [event, *args]))
        if self.session is not None:
            frames = self._namespace.record_event(self, frames, volatile=volatile)
        if self._state is not _SocketState.DISCONNECTED:
            prepared = runtime.engine.prepare(frames)
            runtime.counters["events_sent"] += 1
            runtime.counters["bytes_sent"] += sum(map(len, prepared.packets))
            self.notify_outgoing(event, args)
            if not self.is_returning:
                self.write(prepared, volatile=volatile)

    def notify_outgoing(self, event: str, args: Sequence[Any]) -> None:
        """Report an event to this client alone to observers and to its listeners, if there are any."""
        observers = self._namespace.runtime.observers.event_sent
        if observers:
            notify(observers, self._namespace.name, (self.id,), event, args)
        self.notify_listeners(event, args)

    def notify_listeners(self, event: str, args: Sequence[Any]) -> None:
        """Call the listeners of outgoing events, if there are any."""
        if self.listeners is not None:
            self.listeners.notify_outgoing(self.id, event, args)

    def disconnect_nowait(self, *, close: bool) -> None:
        """Disconnect the client; the same as `disconnect`, for callers that cannot await."""
        if self._state is _SocketState.DISCONNECTED:
            return
        self.rejected = self.rejected or self._state is _SocketState.IN_MIDDLEWARE
        if close:
            self._connection.disconnect_all()
            return
        if self.rejected:
            return
        self.confirm_connect()  # a client that is still connecting would not understand a DISCONNECT packet
        self.write(self._namespace.runtime.prepare(Packet(PacketType.DISCONNECT, self._namespace.name)))
        self._connection.remove_socket(self)
        self._namespace.remove(self, "server namespace disconnect")

    @property
    def is_returning(self) -> bool:
        """Whether a recovered client is passing middleware. What it is sent now is recorded, and comes later."""
        return self.recovered and self._state is _SocketState.IN_MIDDLEWARE

    @property
    def entered(self) -> bool:
        """Whether the socket has entered its namespace, and has not left it."""
        return self._state in (_SocketState.CONNECTING, _SocketState.CONNECTED)

    @property
    def knows_session(self) -> bool:
        """Whether the client knows the private id of its session, so that it can return to it."""
        return self.recovered or self._state is _SocketState.CONNECTED

    def resume(self, missed: list[Prepared]) -> None:
        """Queue the packets that a recovered client missed, before those that it has not missed."""
        self._queued = missed + self._queued

    def end_connection(self) -> None:
        """Remove the socket, and close its connection, which no longer works."""
        self.end("forced close")
        self._connection.abort("forced close")

    def snapshot(self) -> "RecoverableSession":
        """Return the session with the current rooms and data."""
        assert self.session is not None
        self.session.rooms, self.session.data = tuple(self.rooms), self._data
        return self.session

    def end(self, reason: str) -> None:
        """Remove the socket from its namespace: the client has left it, or the connection has closed."""
        self._namespace.remove(self, reason)

    def write(self, prepared: Prepared, *, volatile: bool = False) -> None:
        """Write one packet, after the earlier broadcasts that are still queued for this socket."""
        if self._state is _SocketState.DISCONNECTED:
            return
        fanout = self._namespace.runtime.fanout
        if fanout.busy:
            fanout.flush_for(self.id)
        if self._state is _SocketState.CONNECTED:
            self._connection.write(prepared, volatile=volatile)
        else:
            self.queue_packet(prepared, volatile=volatile)

    def queue_packet(self, payload: Prepared, /, *, volatile: bool = False) -> None:
        """Queue a packet until the CONNECT packet is written. Volatile packets are dropped.

        At most `MAX_QUEUED_PACKETS` are queued; beyond that, the client is disconnected.
        """
        if volatile:
            return
        self._queued.append(payload)
        if len(self._queued) > MAX_QUEUED_PACKETS:
            self._queued = []
            log.warning(
                "client_dropped", sid=self.id, reason="connect handler too slow", packets=MAX_QUEUED_PACKETS
            )
            self._connection.disconnect_all()

    def admit(self) -> None:
        """Let the socket enter its namespace: middleware has admitted the client."""
        self._state = _SocketState.CONNECTING

    def confirm_connect(self) -> None:
        """Write the CONNECT packet, then the queued packets. Does nothing if that has happened."""
        if self._state is not _SocketState.CONNECTING:
            return
        self._state = _SocketState.CONNECTED
        self._namespace.confirm_connect(self)
        data = {"sid": self.id} if self.session is None else {"sid": self.id, "pid": self.session.pid}
        packet = Packet(PacketType.CONNECT, self._namespace.name, data)
        self._connection.write(self._namespace.runtime.prepare(packet))
        queued, self._queued = self._queued, []
        for prepared in queued:
            self._connection.write(prepared)

    @property
    def direct_writer(self) -> DirectWriter:
        """Writes broadcasts to the client."""
        return self._connection.direct_writer

    def refuse(self, refusal: Prepared) -> None:
        """Write the CONNECT_ERROR packet of a client that was refused. Queued packets are dropped."""
        self._connection.write(refusal)
        self.on_disconnect((), "refused", None)

    def receive(self, packet: Packet, size: int = 0) -> Awaitable[None] | None:
        """Accept an EVENT or ACK packet that takes `size` bytes.

        Returns:
            None, or an awaitable that completes when the next packet of this client may be read.
        """
        if packet.type is PacketType.ACK:
            if packet.id is not None:
                self._acks.resolve(packet.id, packet.data)
            return None
        if self._events is None:
            runtime = self._namespace.runtime
            make = EventPool if runtime.options.concurrent_events else EventQueue
            budget = self._connection.event_budget
            limit = runtime.options.max_pending_events
            self._events = make(self._handle_packet, runtime.tasks, limit, budget)
        # Each item carries the socket. If the queue referred to it, only the garbage collector would free both.
        room = self._events.put((self, packet), size)
        if room is None or not len(self._acks) or self._connection.event_budget.full:
            return room
        # The awaited acknowledgement comes after these events, so a reader that waits now would never read it.
        return None if len(self._events) <= ACK_WAIT_FACTOR * self._events.max_items else room

    def expect_ack(self, ack_id: int, on_ack: Callable[[list[Any]], None], on_gone: Callable[[], None]) -> None:
        """Call `on_ack(args)` when the client acknowledges a packet that was written elsewhere.

        If the client disconnects first, call `on_gone()` instead.
        """
        self._acks.expect(ack_id, on_ack, on_gone)

    def forget_ack(self, ack_id: int) -> None:
        """Ignore this acknowledgement from now on."""
        self._acks.forget(ack_id)

    def on_disconnect(
        self, rooms: Collection[str], reason: str, run_handler: Callable[[], Awaitable[None]] | None
    ) -> None:
        """Mark the socket as disconnected. Run its disconnect handler after the events that are still queued."""
        self._state = _SocketState.DISCONNECTED
        self.gone_reason = reason
        self._last_rooms = frozenset(rooms)
        self._queued = []
        self._acks.fail_all()
        if run_handler is not None:
            self._namespace.runtime.tasks.spawn(self._run_after_events(run_handler))

    def describe(self, node_id: NodeId) -> SocketDescription:
        """Describe the socket for `fetch_sockets`."""
        return SocketDescription(self.id, self.handshake.describe(), tuple(self.rooms), dict(self.data), node_id)

    def _join(self, rooms: Sequence[str]) -> Awaitable[None]:
        if self._state is _SocketState.DISCONNECTED:
            raise SocketGoneError(f"socket {self.id} cannot join {rooms!r}: its client has disconnected")
        joined = self._namespace.adapter.add(self.id, rooms)
        if self.gone_reason:  # `disconnect_sockets` was about to disconnect it, and the adapter did so first
            raise SocketGoneError(f"socket {self.id} cannot join {rooms!r}: its client has been disconnected")
        return joined

    def _outgoing_changed(self, listening: bool) -> None:
        self._namespace.set_listening(self, listening)

    async def _run_after_events(self, run_handler: Callable[[], Awaitable[None]]) -> None:
        if self._events is not None:
            await self._events.wait_until_idle()
        await run_handler()
