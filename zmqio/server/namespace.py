"""A namespace: its handlers, and how a client enters it, speaks in it and leaves it.

Implements `Home` for its sockets and `Stage` for its broadcasts; `NamespaceMembers` holds the sockets themselves.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from zmqio.adapter.base import Adapter, LocalSockets
from zmqio.engine.server import Prepared
from zmqio.exceptions import ConnectRefused
from zmqio.ids import Sid, make_sid
from zmqio.protocol.packet import AckableFrames, Frames, Packet, PacketType
from zmqio.server.broadcast import Broadcast
from zmqio.server.dispatch import EventDispatcher
from zmqio.server.handshake import Handshake
from zmqio.server.members import NamespaceMembers, check_event
from zmqio.server.operations import Operations
from zmqio.server.registry import Registration, Registry
from zmqio.server.runtime import Runtime
from zmqio.server.socket import ClientConnection, Socket

__all__ = ["Namespace"]

log = structlog.get_logger(__name__)


class Namespace(Registration, Operations):
    """One namespace of a server.

    Args:
        open_me: opens the namespace and starts the server, the first time that it is used.
        inherited: what was registered for its parent.

    Attributes:
        name: begins with `/`.
    """

    def __init__(
        self,
        name: str,
        open_me: Callable[["Namespace"], Awaitable[None]],
        inherited: Registry | None = None,
    ) -> None:
        self.name = name
        self.is_open = False
        self._open_me = open_me
        self._registry = Registry(name, inherited)
        self._guests = 0  # clients that are about to enter
        self._connecting: set[Sid] = set()  # sockets whose connect handler runs
        self._gate: tuple[Runtime, asyncio.Lock] | None = None
        self._dispatch: EventDispatcher
        self._runtime: Runtime
        self._members: NamespaceMembers
        self._adapter: Adapter

    def __repr__(self) -> str:
        return f"<Namespace {self.name}>"

    # For the application.

    @property
    def adapter(self) -> Adapter:
        """Rooms, and the way to the other nodes; there from when the server starts."""
        return self._adapter

    @property
    def registry(self) -> Registry:
        """What was registered."""
        return self._registry

    @property
    def sockets(self) -> Mapping[Sid, Socket]:
        """Sid -> socket, those of this process."""
        return self._members.sockets

    def broadcast(self) -> Broadcast:
        """An operation that reaches every socket of the namespace."""
        return Broadcast(self)

    # For the server: its life.

    async def open(self, runtime: Runtime, make_adapter: Callable[[str, LocalSockets], Adapter]) -> None:
        """Begin to serve; nothing happens when it is open already."""
        async with self._gate_of(runtime):
            if self.is_open:
                return
            listeners = self._registry.listeners
            self._runtime = runtime
            self._dispatch = EventDispatcher(self.name, self._registry, runtime)
            self._members = NamespaceMembers(self.name, runtime, listeners.room_event, self._server_side_event)
            self._adapter = make_adapter(self.name, self._members)
            await self.adapter.open()
            self.is_open = True

    async def ready(self) -> None:
        """Open the namespace, and start the server, if that has not happened yet.

        Raises:
            RuntimeError: the server runs in another event loop.
        """
        if self.is_open:
            self._runtime.check_loop()
        else:
            await self._open_me(self)

    async def close(self) -> None:
        """Stop serving; its sockets are gone already."""
        if self.is_open:
            self.is_open = False
            async with self._gate_of(self._runtime):
                await self.adapter.close()

    def _gate_of(self, runtime: Runtime) -> asyncio.Lock:
        """Lets one open or close at a time; a new one for each run of the server, which has its own event loop."""
        if self._gate is None or self._gate[0] is not runtime:
            self._gate = (runtime, asyncio.Lock())
        return self._gate[1]

    @property
    def occupied(self) -> bool:
        """Whether a client is in it or about to enter, in this process."""
        return self._guests > 0 or (self.is_open and bool(self.sockets))

    def vacated(self) -> None:
        """The last client has gone: nothing that a namespace with a fixed name would care for."""

    # For the client: entering and leaving.

    async def connect(
        self, line: ClientConnection, handshake: Handshake, entered: Callable[[Socket], bool]
    ) -> None:
        """Let a client in, or tell it why not.

        Args:
            line: the client's connection.
            handshake: how it introduced itself.
            entered: called with the new socket before the connect handler; False when the client has gone.
        """
        self._guests += 1
        try:
            await self.ready()
            await self._admit(line, handshake, entered)
        finally:
            self._guests -= 1
            if not self.occupied:
                self.vacated()

    async def _admit(
        self, line: ClientConnection, handshake: Handshake, entered: Callable[[Socket], bool]
    ) -> None:
        socket = Socket(make_sid(self._runtime.identity.tag), self, line, handshake)
        refusal = await self._refusal_in(self._pass_middleware(socket), socket)
        if refusal is None and not entered(socket):
            self._take_out(socket)  # middleware may have put it in rooms
            socket.gone((), "transport close", None)
            return
        if refusal is None:
            self._connecting.add(socket.id)
            try:
                refusal = await self._refusal_in(self._enter(socket), socket)
            finally:
                self._connecting.discard(socket.id)
        if refusal is None:
            await self._settle(socket)
        else:
            self._refuse(socket, refusal)

    async def _refusal_in(self, step: Awaitable[None], socket: Socket) -> ConnectRefused | None:
        """Take a step of the application, and read from its errors whether it refuses the client."""
        try:
            await step
        except ConnectRefused as refusal:
            return refusal
        except Exception:
            if socket.gone_reason:  # what fails for a client that has gone refuses nobody
                log.debug("connect_handler_failed", namespace=self.name, sid=socket.id, gone=True, exc_info=True)
                return None
            log.exception("connect_handler_failed", namespace=self.name, sid=socket.id)
            return ConnectRefused("Internal server error")
        return None

    async def _settle(self, socket: Socket) -> None:
        """Tell the client that it is connected; one that has gone meanwhile gets its disconnect handler."""
        socket.settle()
        handler = self._registry.handlers.get("disconnect")
        if handler is not None and not socket.connected:
            await self._dispatch.disconnected(handler, socket, socket.gone_reason)

    async def _pass_middleware(self, socket: Socket) -> None:
        for middleware in tuple(self._registry.middleware):
            result = middleware(socket)
            if result is not None:
                await result

    async def _enter(self, socket: Socket) -> None:
        self._members.enter(socket)
        await self.adapter.add(socket.id, (socket.id,))
        handler = self._registry.handlers.get("connect")
        if handler is not None:
            await handler.call(*handler.usable((socket, socket.handshake.auth)))

    def _refuse(self, socket: Socket, refusal: ConnectRefused) -> None:
        log.debug("connect_refused", namespace=self.name, sid=socket.id, reason=refusal.message)
        if socket.connected:  # it awaited an ack in its connect handler, so its client knows that it is connected
            socket.disconnect_soon(close=False)
            return
        self._take_out(socket)
        if socket.gone_reason:
            return
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
        handler = None if socket.id in self._connecting else self._registry.handlers.get("disconnect")
        rooms = self._take_out(socket)
        last = None if handler is None else partial(self._dispatch.disconnected, handler, socket, reason)
        socket.gone(rooms, reason, last)
        if not self.occupied:
            self.vacated()

    def _take_out(self, socket: Socket) -> tuple[str, ...]:
        self._members.drop(socket)
        rooms = tuple(self.adapter.rooms_of(socket.id))
        self.adapter.remove_all(socket.id)
        return rooms

    # For sockets: events.

    async def handle(self, socket: Socket, packet: Packet) -> None:
        """Hand an event to the application; its result acknowledges it."""
        await self._dispatch.handle(socket, packet)

    def _server_side_event(self, args: Sequence[Any], respond: Callable[[list[Any]], None] | None) -> None:
        self.spawn(self._registry.listeners.server_side_event(args, respond))

    @property
    def max_pending_events(self) -> int:
        """Most events of one client that wait for a handler before it is read more slowly."""
        return self._runtime.options.max_pending_events

    @property
    def concurrent_events(self) -> bool:
        """Whether events of one client are handled at the same time."""
        return self._runtime.options.concurrent_events

    def check_loop(self) -> None:
        """Refuse to be used from another event loop; `RuntimeError`."""
        self._runtime.check_loop()

    def listen(self, socket: Socket, listening: bool) -> None:
        """Tell a socket of the events in broadcasts to it from now on, or no more."""
        self._members.listen(socket, listening)

    def prepare(self, packet: Packet) -> Prepared:
        """Encode a packet of this namespace for the engine."""
        return self._runtime.prepare(packet)

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
