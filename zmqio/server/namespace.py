"""A namespace: its handlers, and how a client enters it, speaks in it and leaves it.

Implements `Home` for its sockets and `Stage` for its broadcasts; `Members` holds the sockets themselves.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, overload

import structlog

from zmqio.adapter.base import Adapter, LocalSockets
from zmqio.exceptions import ConnectRefused
from zmqio.ids import Sid, make_sid
from zmqio.protocol.packet import RESERVED_EVENTS, AckableFrames, Frames, Packet, PacketType
from zmqio.server.broadcast import Broadcast
from zmqio.server.handlers import LIFECYCLE_EVENTS, Handler, Handlers, result_args
from zmqio.server.handshake import Handshake
from zmqio.server.listeners import Listeners
from zmqio.server.members import Members, check_event
from zmqio.server.operations import Operations
from zmqio.server.runtime import Runtime
from zmqio.server.socket import Line, Socket
from zmqio.transport.engine import Prepared

__all__ = ["Middleware", "Namespace"]

log = structlog.get_logger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])
Middleware = Callable[[Socket], Awaitable[None] | None]


class Namespace(Operations):
    """One namespace of a server.

    Args:
        open_me: opens the namespace and starts the server, the first time that it is used.

    Attributes:
        name: begins with `/`.
    """

    def __init__(self, name: str, open_me: Callable[["Namespace"], Awaitable[None]]) -> None:
        self.name = name
        self.is_open = False
        self._open_me = open_me
        self._handlers = Handlers()
        self._middleware: list[Middleware] = []
        self._listeners = Listeners(name)
        self._runtime: Runtime
        self._members: Members
        self._adapter: Adapter

    def __repr__(self) -> str:
        return f"<Namespace {self.name}>"

    # For the application.

    @property
    def adapter(self) -> Adapter:
        """Rooms, and the way to the other nodes; there from when the server starts."""
        return self._adapter

    @property
    def sockets(self) -> Mapping[Sid, Socket]:
        """Sid -> socket, those of this process."""
        return self._members.sockets

    @overload
    def on(self, event: str) -> Callable[[Function], Function]: ...

    @overload
    def on(self, event: str, handler: Function) -> Function: ...

    def on(self, event: str, handler: Function | None = None) -> Any:
        """Register the function that handles an event; use it as a decorator or with `handler`.

        - `connect(socket, auth)`: raise `ConnectRefused` to refuse. What it emits to the socket reaches the
          client after it was told that it is connected.
        - `disconnect(socket, reason)`: after the events that came before it.
        - any other event: `(socket, *args)`; what it returns is the acknowledgement (None: no values, a tuple:
          several). Events of one client are handled one after the other.

        Raises:
            ValueError: the event has a handler already, or its name is reserved by Socket.IO.
            TypeError: the handler cannot be called with a socket.
        """
        if event in RESERVED_EVENTS - LIFECYCLE_EVENTS:
            raise ValueError(f"{event!r} is reserved by Socket.IO; no client can send it")
        if handler is not None:
            self._handlers.add(event, handler)
            return handler

        def register(function: Function) -> Function:
            self._handlers.add(event, function)
            return function

        return register

    def use(self, middleware: Middleware) -> Middleware:
        """Run `middleware(socket)` for each client before it is connected; raise `ConnectRefused` to refuse."""
        self._middleware.append(middleware)
        return middleware

    def on_server_side(self, event: str) -> Callable[[Function], Function]:
        """Decorate the function `(*args)` that takes what other nodes say by `server_side_emit`.

        What it returns answers `server_side_emit_with_ack`.
        """
        return self._listeners.on_server_side(event)

    def on_room(self, event: str) -> Callable[[Function], Function]:
        """Decorate a function that hears of rooms *of this process*; it must not block.

        - `create-room(room)`, `delete-room(room)`: it has its first member here, or none any more.
        - `join-room(room, sid)`, `leave-room(room, sid)`.
        """
        return self._listeners.on_room(event)

    def broadcast(self) -> Broadcast:
        """An operation that reaches every socket of the namespace."""
        return Broadcast(self)

    # For the server: its life.

    async def open(self, runtime: Runtime, make_adapter: Callable[[str, LocalSockets], Adapter]) -> None:
        """Begin to serve."""
        self._runtime = runtime
        self._members = Members(self.name, runtime, self._listeners.room_event, self._server_side_event)
        self._adapter = make_adapter(self.name, self._members)
        await self.adapter.open()
        self.is_open = True

    async def ready(self) -> None:
        """Open the namespace, and start the server, if that has not happened yet."""
        if not self.is_open:
            await self._open_me(self)

    async def close(self) -> None:
        """Stop serving; its sockets are gone already."""
        if self.is_open:
            self.is_open = False
            await self.adapter.close()

    # For the client: entering and leaving.

    async def connect(self, line: Line, handshake: Handshake, entered: Callable[[Socket], bool]) -> None:
        """Let a client in, or tell it why not.

        Args:
            line: the client's connection.
            handshake: how it introduced itself.
            entered: called with the new socket before the connect handler; False when the client has gone.
        """
        socket = Socket(make_sid(self._runtime.identity.tag), self, line, handshake)
        try:
            await self._pass_middleware(socket)
            if not entered(socket):
                return
            await self._enter(socket)
        except ConnectRefused as refusal:
            self._refuse(socket, refusal)
        except Exception:
            log.exception("connect_handler_failed", namespace=self.name, sid=socket.id)
            self._refuse(socket, ConnectRefused("Internal server error"))
        else:
            await self._settle(socket)

    async def _settle(self, socket: Socket) -> None:
        """Tell the client that it is connected; one that has gone meanwhile gets its disconnect handler."""
        socket.settle()
        handler = self._handlers.get("disconnect")
        if handler is not None and not socket.connected:
            await self._run_disconnect(handler, socket, socket.gone_reason)

    async def _pass_middleware(self, socket: Socket) -> None:
        for middleware in self._middleware:
            result = middleware(socket)
            if result is not None:
                await result

    async def _enter(self, socket: Socket) -> None:
        self._members.enter(socket)
        await self.adapter.add(socket.id, (socket.id,))
        handler = self._handlers.get("connect")
        if handler is not None:
            await handler.call(*handler.usable((socket, socket.handshake.auth)))

    def _refuse(self, socket: Socket, refusal: ConnectRefused) -> None:
        log.debug("connect_refused", namespace=self.name, sid=socket.id, reason=refusal.message)
        if socket.connected:  # it awaited an ack in its connect handler, so its client knows that it is connected
            socket.disconnect_soon(close=False)
            return
        self._take_out(socket)
        data = {"message": refusal.message}
        if refusal.data is not None:
            data["data"] = refusal.data
        socket.refuse(self.prepare(Packet(PacketType.CONNECT_ERROR, self.name, data)))

    def settled(self, socket: Socket) -> None:
        """The client is about to be told that it is connected: write to it directly from now on."""
        self._members.settle(socket)

    def leave(self, socket: Socket, reason: str) -> None:
        """Take a socket out; its disconnect handler runs after the events that came before."""
        if self.sockets.get(socket.id) is not socket:
            return
        # A client that goes while its connect handler runs gets its disconnect handler after that, in `_settle`.
        handler = self._handlers.get("disconnect") if socket.connected else None
        rooms = self._take_out(socket)
        last = None if handler is None else partial(self._run_disconnect, handler, socket, reason)
        socket.gone(rooms, reason, last)

    def _take_out(self, socket: Socket) -> tuple[str, ...]:
        if not self._members.drop(socket):
            return ()
        rooms = tuple(self.adapter.rooms_of(socket.id))
        self.adapter.remove_all(socket.id)
        return rooms

    async def _run_disconnect(self, handler: Handler, socket: Socket, reason: str) -> None:
        try:
            await handler.call(*handler.usable((socket, reason)))
        except Exception as error:  # noqa: BLE001 - an application's error ends here, logged with its traceback
            self._failed("disconnect", socket, error)

    # For sockets: events.

    async def handle(self, socket: Socket, packet: Packet) -> None:
        """Hand an event to the application; its result acknowledges it."""
        event, *args = packet.data
        handler = None if event in LIFECYCLE_EVENTS else self._handlers.get(event)
        if handler is None:
            log.debug("event_without_handler", event_name=event, namespace=self.name, sid=socket.id)
        elif not handler.accepts(len(args) + 1):
            self._mismatch(handler, event, args, socket)
        else:
            await self._run(handler, socket, packet)

    async def _run(self, handler: Handler, socket: Socket, packet: Packet) -> None:
        event, *args = packet.data
        try:
            result = await handler.call(socket, *args)
            if packet.id is not None:
                self._acknowledge(socket, packet.id, result)
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(event, socket, error)

    def _acknowledge(self, socket: Socket, ack_id: int, result: Any) -> None:
        socket.write(self.prepare(Packet(PacketType.ACK, self.name, result_args(result), ack_id)))

    def _failed(self, event: str, socket: Socket, error: Exception) -> None:
        self._runtime.counters["handlers_failed"] += 1
        log.error("handler_failed", event_name=event, namespace=self.name, sid=socket.id, exc_info=error)

    def _mismatch(self, handler: Handler, event: str, args: list[Any], socket: Socket) -> None:
        self._runtime.counters["events_with_wrong_arguments"] += 1
        log.warning(
            "event_arguments_mismatch",
            event_name=event,
            namespace=self.name,
            sid=socket.id,
            received=len(args),
            handler_takes=handler.describe_args(besides_socket=True),
        )

    def _server_side_event(self, args: Sequence[Any], respond: Callable[[list[Any]], None] | None) -> None:
        self.spawn(self._listeners.server_side_event(args, respond))

    @property
    def max_pending_events(self) -> int:
        """Most events of one client that wait for a handler before it is read more slowly."""
        return self._runtime.options.max_pending_events

    def prepare(self, packet: Packet) -> Prepared:
        """Encode a packet of this namespace for the engine."""
        return self._runtime.engine.prepare(self._runtime.parser.encode(packet))

    def next_ack_id(self) -> int:
        """An ack id that no socket of the namespace waits for."""
        return self._members.next_ack_id()

    def catch_up(self, sid: Sid) -> None:
        """Deliver what still waits for a socket, before something is written to it directly."""
        self._members.catch_up(sid)

    def spawn(self, work: Coroutine[Any, Any, None]) -> object:
        """Run work in a task of the server."""
        return self._runtime.tasks.spawn(work)

    # For broadcasts.

    @property
    def request_timeout_s(self) -> float:
        """Seconds that answers may take if nothing else is asked for."""
        return self._runtime.options.request_timeout_s

    def encode_packet(self, packet: Packet, /) -> Frames:
        """Encode a packet, once for all who get it."""
        return self._runtime.parser.encode(packet)

    def encode_ackable(self, packet: Packet, /) -> AckableFrames:
        """Encode an event whose ack id each node fills in."""
        return self._runtime.parser.encode_ackable(packet)

    def check_event(self, event: str, /) -> None:
        """Refuse an event name that clients would not take."""
        check_event(event)
