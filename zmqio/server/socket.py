"""A socket: one client in one namespace.

Holds its connection (`ClientConnection`) and its namespace (`SocketNamespace`) by the small contracts declared
here, and knows
neither of them further.
"""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from enum import Enum
from typing import Any, Protocol

import structlog

from zmqio.adapter.base import Adapter, SocketDescription
from zmqio.engine.direct_write import DirectWriter
from zmqio.engine.server import Prepared
from zmqio.exceptions import SocketGoneError
from zmqio.ids import NodeId, Sid
from zmqio.protocol.packet import Packet, PacketType
from zmqio.server.acks import PendingAcks, ack_value
from zmqio.server.broadcast import Broadcast
from zmqio.server.event_queue import EventPool, EventQueue
from zmqio.server.handshake import Handshake
from zmqio.server.sending import EmitOptions
from zmqio.server.socket_listeners import ListenerMixin

__all__ = ["ClientConnection", "Socket", "SocketNamespace"]

log = structlog.get_logger(__name__)

MOST_HELD = 10_000
"""Most packets that wait while a connect handler runs; as `session_buffer_packets` by default."""
EVENTS_WHILE_ASKING = 10
"""Times `max_pending_events` that may wait while an acknowledgement of this client is awaited."""


class ClientConnection(Protocol):
    """The connection of a socket's client, which its sockets in other namespaces share."""

    @property
    def transport_name(self) -> str:
        """`polling` or `websocket`, as it is now."""

    @property
    def direct_writer(self) -> DirectWriter:
        """The shortest way to the client, for broadcasts."""

    def write(self, payload: Prepared, /, *, volatile: bool = False) -> None:
        """Write one packet; never blocks, never fails."""

    def forget(self, socket: "Socket") -> None:
        """The server has taken a socket out of its namespace; the connection goes on."""

    def disconnect_all(self) -> None:
        """Disconnect the client from all namespaces and close the connection."""


class SocketNamespace(Protocol):
    """What a socket needs of its namespace."""

    @property
    def name(self) -> str:
        """The namespace's name."""

    @property
    def adapter(self) -> Adapter:
        """The namespace's adapter."""

    @property
    def max_pending_events(self) -> int:
        """Most events of one client that wait for a handler before it is read more slowly."""

    @property
    def concurrent_events(self) -> bool:
        """Whether events of one client are handled at the same time."""

    def check_loop(self) -> None:
        """Refuse to be used from another event loop; `RuntimeError`."""

    def check_event(self, event: str, /) -> None:
        """Refuse an event name that clients would not take."""

    def listen(self, socket: "Socket", listening: bool) -> None:
        """Tell a socket of the events in broadcasts to it from now on, or no more."""

    def prepare(self, packet: Packet) -> Prepared:
        """Encode a packet of this namespace."""

    def next_ack_id(self) -> int:
        """An ack id that no socket of the namespace waits for."""

    def broadcast(self) -> Broadcast:
        """An operation that reaches every socket of the namespace."""

    def catch_up(self, sid: Sid) -> None:
        """Deliver what still waits for a socket, before something is written to it directly."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> object:
        """Run work in a task of the server."""

    def handle(self, socket: "Socket", packet: Packet) -> Awaitable[None]:
        """Hand an event to the application and acknowledge it."""

    def leave(self, socket: "Socket", reason: str) -> None:
        """Take a socket out of the namespace."""

    def settled(self, socket: "Socket") -> None:
        """The client knows that it is connected: broadcasts may be written without a detour."""


class _SocketState(Enum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    GONE = "gone"


class Socket(ListenerMixin):
    """One client in one namespace, as handlers get it.

    Attributes:
        id: its Socket.IO id; also the name of a room that only it is in.
        handshake: how the client introduced itself.
        data: anything that the application wants to keep with it. JSON-like values in it can be seen by other
            nodes through `fetch_sockets`.
        taps: its middleware and catch-all listeners; None as long as it has none.
        gone_reason: why it has disconnected; "" as long as it has not.
    """

    __slots__ = (
        "__weakref__",
        "_acks",
        "_events",
        "_held",
        "_home",
        "_last_rooms",
        "_line",
        "_state",
        "data",
        "gone_reason",
        "handshake",
        "id",
    )

    def __init__(self, sid: Sid, home: SocketNamespace, line: ClientConnection, handshake: Handshake) -> None:
        self.id = sid
        self.handshake = handshake
        self.data: dict[str, Any] = {}
        self.gone_reason = ""
        self._home = home
        self._line = line
        self._state = _SocketState.CONNECTING
        self._held: list[tuple[Prepared, bool]] = []
        self._acks = PendingAcks()
        self._events: EventQueue[Packet] | None = None
        self.taps = None
        self._last_rooms: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<Socket {self.id} {self._home.name} {self._state.value}>"

    @property
    def namespace(self) -> str:
        """The name of its namespace."""
        return self._home.name

    @property
    def connected(self) -> bool:
        """Whether the client is connected to the namespace, and told so."""
        return self._state is _SocketState.CONNECTED

    @property
    def transport(self) -> str:
        """`polling` or `websocket`, as it is now."""
        return self._line.transport_name

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms it is in, its own among them; after it has disconnected, those it was in."""
        if self._state is _SocketState.GONE:
            return self._last_rooms
        return frozenset(self._home.adapter.rooms_of(self.id))

    async def join(self, *rooms: str) -> None:
        """Enter rooms. On return every node's messages to them reach this socket.

        With several brokers it waits at most `barrier_timeout_s` for those after the first, with one that does
        not answer up to `dead_after_s`; with no connection it is done at once and applied when one comes.

        Raises:
            TopicError: a name has a NUL in it.
            SocketGoneError: the client has disconnected.
        """
        self._home.check_loop()
        if self._state is _SocketState.GONE:
            raise SocketGoneError(f"socket {self.id} has disconnected; it cannot join {rooms!r}")
        await self._home.adapter.add(self.id, rooms)

    async def leave(self, *rooms: str) -> None:
        """Leave rooms; those that it is not in are passed over."""
        self._home.check_loop()
        for room in rooms:
            self._home.adapter.remove(self.id, room)

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event to this client; nothing happens if it has disconnected.

        Raises:
            PacketError: an argument is neither JSON-like nor bytes.
            RuntimeError: this is not the server's event loop; `zmqio.Emitter` can be used from any thread.
        """
        self.post(event, args, volatile=False)

    send = emit

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Send an event to this client and wait for its acknowledgement.

        Args:
            timeout: seconds to wait; None waits as long as the client is connected.

        Returns:
            None, the value, or a tuple of several values that the client answered with.

        Raises:
            RequestTimeoutError: it did not answer in time.
            SocketGoneError: it has disconnected, or does before it answers.
            PacketError: an argument is neither JSON-like nor bytes.
        """
        self._home.check_loop()
        self._home.check_event(event)
        if self._state is _SocketState.GONE:
            raise SocketGoneError(f"socket {self.id} has disconnected; it cannot acknowledge {event!r}")
        ack_id = self._home.next_ack_id()
        prepared = self._home.prepare(Packet(PacketType.EVENT, self._home.name, [event, *args], ack_id))
        self.tell_outgoing(event, args)
        self.settle()  # in a connect handler nothing else would ever be answered
        if self._events is not None:
            self._events.release()
        return ack_value(await self._acks.wait(ack_id, lambda: self.write(prepared), timeout))

    @property
    def volatile(self) -> EmitOptions:
        """For an event that the client does without if it cannot take it now."""
        return EmitOptions(self).volatile

    def timeout(self, seconds: float) -> EmitOptions:
        """For an event whose acknowledgement may take `seconds`."""
        return EmitOptions(self).timeout(seconds)

    def compress(self, _on: bool = True, /) -> EmitOptions:
        """Accepted and without effect, see `Broadcast.compress`."""
        return EmitOptions(self)

    def to(self, *rooms: str) -> Broadcast:
        """An operation that reaches the members of rooms, but not this socket."""
        return self.broadcast.to(*rooms)

    in_ = to

    def except_(self, *rooms: str) -> Broadcast:
        """An operation that reaches everybody but members of rooms and this socket."""
        return self.broadcast.except_(*rooms)

    @property
    def broadcast(self) -> Broadcast:
        """An operation that reaches everybody but this socket."""
        return self._home.broadcast().except_(self.id)

    async def disconnect(self, *, close: bool = False) -> None:
        """Disconnect from this namespace; with `close` from all, and end the connection.

        The client sees `io server disconnect` and does not come back by itself.
        """
        self._home.check_loop()
        self.disconnect_soon(close=close)

    # Below: for the namespace and the client, not for applications.

    def post(self, event: str, args: Sequence[Any], *, volatile: bool) -> None:
        """Send an event to this client; the same as `emit`, for callers that cannot await."""
        self._home.check_loop()
        self._home.check_event(event)
        prepared = self._home.prepare(Packet(PacketType.EVENT, self._home.name, [event, *args]))
        if self._state is not _SocketState.GONE:
            self.tell_outgoing(event, args)
            self.write(prepared, volatile=volatile)

    def tell_outgoing(self, event: str, args: Sequence[Any]) -> None:
        """Tell the listeners of outgoing events, if there are any."""
        if self.taps is not None:
            self.taps.tell_outgoing(self.id, event, args)

    def disconnect_soon(self, *, close: bool) -> None:
        """The same as `disconnect`, for callers that cannot await."""
        if self._state is _SocketState.GONE:
            return
        if close:
            self._line.disconnect_all()
            return
        self.settle()  # in a connect handler: a client that was never told so would not understand the goodbye
        self.write(self._home.prepare(Packet(PacketType.DISCONNECT, self._home.name)))
        self._line.forget(self)
        self._home.leave(self, "server namespace disconnect")

    def line_closed(self, reason: str) -> None:
        """The client is gone, or has left the namespace."""
        self._home.leave(self, reason)

    def write(self, prepared: Prepared, *, volatile: bool = False) -> None:
        """Write one packet, after what earlier broadcasts still have to deliver here."""
        if self._state is _SocketState.GONE:
            return
        self._home.catch_up(self.id)
        if self._state is _SocketState.CONNECTING:
            self.hold(prepared, volatile=volatile)
        else:
            self._line.write(prepared, volatile=volatile)

    def hold(self, payload: Prepared, /, *, volatile: bool = False) -> None:
        """Keep a packet until the client was told that it is connected; it must hear that first."""
        if volatile:
            return  # it cannot take it now
        self._held.append((payload, volatile))
        if len(self._held) > MOST_HELD:
            self._held = []
            log.warning("client_dropped", sid=self.id, reason="its connect handler took too long", held=MOST_HELD)
            self._line.disconnect_all()

    def settle(self) -> None:
        """Tell the client that it is connected, then give it what came up meanwhile."""
        if self._state is not _SocketState.CONNECTING:
            return
        self._state = _SocketState.CONNECTED
        self._home.settled(self)
        self._line.write(self._home.prepare(Packet(PacketType.CONNECT, self._home.name, {"sid": self.id})))
        held, self._held = self._held, []
        for prepared, volatile in held:
            self._line.write(prepared, volatile=volatile)

    @property
    def direct_writer(self) -> DirectWriter:
        """The shortest way to the client, for broadcasts."""
        return self._line.direct_writer

    def refuse(self, refusal: Prepared) -> None:
        """Tell the client that it may not enter; what was held for it is dropped."""
        self._line.write(refusal)
        self.gone((), "refused", None)

    def receive(self, packet: Packet) -> Awaitable[None] | None:
        """Take an EVENT or ACK packet; the result, if any, is done when the client may be read on."""
        if packet.type is PacketType.ACK:
            self._acks.resolve(packet.id or 0, packet.data)
            return None
        if self._events is None:
            make = EventPool if self._home.concurrent_events else EventQueue
            self._events = make(self._handle, self._home.spawn, self._home.max_pending_events)
        pending = self._events.put(packet)
        # An answer that a handler waits for comes behind these events: who reads no more never sees it.
        most = EVENTS_WHILE_ASKING * self._home.max_pending_events
        return None if len(self._acks) and len(self._events) <= most else pending

    def expect_ack(self, ack_id: int, answered: Callable[[list[Any]], None]) -> None:
        """Call `answered(args)` when the client answers a packet that was written elsewhere."""
        self._acks.expect(ack_id, answered)

    def forget_ack(self, ack_id: int) -> None:
        """Await this answer no longer."""
        self._acks.forget(ack_id)

    def gone(self, rooms: Collection[str], reason: str, last: Callable[[], Awaitable[None]] | None) -> None:
        """The socket has left its namespace: run `last` once the events before it are handled."""
        self._state = _SocketState.GONE
        self.gone_reason = reason
        self._last_rooms = frozenset(rooms)
        self._held = []
        self._acks.abandon()
        if last is not None:
            self._home.spawn(self._run_last(last))

    def describe(self, node_id: NodeId) -> SocketDescription:
        """What other nodes may know of it."""
        return SocketDescription(self.id, self.handshake.describe(), tuple(self.rooms), dict(self.data), node_id)

    def _outgoing_changed(self, listening: bool) -> None:
        self._home.listen(self, listening)

    async def _handle(self, packet: Packet) -> None:
        await self._home.handle(self, packet)

    async def _run_last(self, last: Callable[[], Awaitable[None]]) -> None:
        if self._events is not None:
            await self._events.drained()
        await last()
