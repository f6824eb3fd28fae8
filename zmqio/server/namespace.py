"""A namespace: what an application registers for it, and how clients enter and leave it.

It implements `SocketNamespace` for its sockets and `BroadcastNamespace` for its broadcasts. `NamespaceMembers`
holds the sockets, `EventDispatcher` handles their events.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from zmqio.adapter.base import Adapter, LocalSockets
from zmqio.cluster.adapter import ClusterAdapter
from zmqio.exceptions import ConnectRefused
from zmqio.ids import Sid, make_sid
from zmqio.protocol.packet import Frames
from zmqio.server.admission import Admission
from zmqio.server.claim import split_auth
from zmqio.server.dispatch import EventDispatcher
from zmqio.server.handshake import Handshake
from zmqio.server.members import NamespaceMembers
from zmqio.server.observers import notify
from zmqio.server.operations import Operations
from zmqio.server.registry import Registration, Registry
from zmqio.server.runtime import Runtime
from zmqio.server.socket import ClientConnection, Socket

if TYPE_CHECKING:
    from zmqio.server.session_recovery import NamespaceRecovery, Resumption

__all__ = ["Namespace"]


class Namespace(Registration, Operations):
    """One namespace of a server, as returned by `io.of("/chat")`.

    Example: `await io.of("/chat").to("lobby").emit("news", 1)`

    Args:
        name: the name; starts with `/`.
        ensure_open: starts the server and opens the namespace; called on the first use.
        inherited: the registry of the parent namespace.

    Attributes:
        name: as given.
        is_open: whether the namespace serves clients.
        recovers: whether clients can return to their sessions, if the server recovers sessions; read on opening.
    """

    def __init__(
        self,
        name: str,
        ensure_open: Callable[["Namespace"], Awaitable[None]],
        inherited: Registry | None = None,
    ) -> None:
        Operations.__init__(self, self)
        self.name = name
        self.is_open = False
        self.recovers = True
        self._ensure_open = ensure_open
        self._registry = Registry(name, inherited)
        self._entering = 0  # clients that are passing middleware or the connect handler
        self._connecting: set[Sid] = set()  # sockets whose connect handler is running
        self._open_lock: tuple[Runtime, asyncio.Lock] | None = None
        self._runtime: Runtime | None = None
        self._adapter: Adapter | None = None
        self._admission: Admission
        self._dispatcher: EventDispatcher
        self._members: NamespaceMembers
        self._recovery: NamespaceRecovery | None = None

    def __repr__(self) -> str:
        return f"<Namespace {self.name}>"

    @property
    def registry(self) -> Registry:
        """The registered handlers, middleware and listeners."""
        return self._registry

    @property
    def sockets(self) -> Mapping[Sid, Socket]:
        """Socket id -> socket, for the sockets of this process.

        Raises:
            RuntimeError: the server has not started, or has not used the namespace.
        """
        if self._adapter is None:
            raise self._not_open("sockets")
        return self._members.sockets

    @property
    def adapter(self) -> Adapter:
        """Rooms and the other nodes. Raises as `sockets`."""
        if self._adapter is None:
            raise self._not_open("adapter")
        return self._adapter

    @property
    def runtime(self) -> Runtime:
        """The shared parts of the server. Raises as `sockets`."""
        if self._runtime is None:
            raise self._not_open("runtime")
        return self._runtime

    def _not_open(self, name: str) -> RuntimeError:
        return RuntimeError(
            f"namespace {self.name!r} has no {name} yet: the server has not started; `await io.start()`, or serve "
            "`io.asgi()`"
        )

    # For the server: opening and closing.

    async def open(self, runtime: Runtime, make_adapter: Callable[[str, LocalSockets], Adapter]) -> None:
        """Start to serve clients. Does nothing if the namespace is open."""
        async with self._lock_of(runtime):
            if self.is_open:
                return
            self._runtime = runtime
            self._admission = Admission(self.name, self._registry, runtime)
            self._dispatcher = EventDispatcher(self.name, self._registry, runtime)
            self._members = NamespaceMembers(self.name, runtime, self._room_event, self._server_side_event)
            self._adapter = make_adapter(self.name, self._members)
            self._recovery = self._open_recovery(runtime, self._adapter)
            await self._adapter.open()
            self.is_open = True
            notify(runtime.observers.namespace_opened, self.name)

    def _open_recovery(self, runtime: Runtime, adapter: Adapter) -> "NamespaceRecovery | None":
        if runtime.recovery is None or not self.recovers:
            return None
        from zmqio.server.session_recovery import NamespaceRecovery  # most servers recover no sessions

        recorder = runtime.recovery.recorder(self.name)
        adapter.record_packets(recorder)
        exchange = runtime.session_exchange
        cluster = (adapter, exchange) if exchange is not None and isinstance(adapter, ClusterAdapter) else None
        recovery = NamespaceRecovery(self.name, runtime.recovery, recorder, runtime, cluster)
        self._members.add_offset = recovery.with_offset
        return recovery

    async def ready(self) -> None:
        """Open the namespace, and start the server, unless that has happened.

        Raises:
            ServerClosedError: the server was closed.
            RuntimeError: the server runs in another event loop.
        """
        if self.is_open:
            self.runtime.check_loop()
        else:
            await self._ensure_open(self)

    async def close(self) -> None:
        """Stop serving. The sockets must have been removed before."""
        if self.is_open:
            self.is_open = False
            notify(self.runtime.observers.namespace_closed, self.name)
            async with self._lock_of(self.runtime):
                await self.adapter.close()

    def _lock_of(self, runtime: Runtime) -> asyncio.Lock:
        """Return the lock for opening and closing; each run of the server has its own, for its event loop."""
        if self._open_lock is None or self._open_lock[0] is not runtime:
            self._open_lock = (runtime, asyncio.Lock())
        return self._open_lock[1]

    @property
    def occupied(self) -> bool:
        """Whether the namespace has a client in this process, or one is entering."""
        return self._entering > 0 or (self.is_open and bool(self.sockets))

    def on_empty(self) -> None:
        """Called when the last client of this process has left. A namespace with a fixed name does nothing."""

    # For the client: entering and leaving.

    async def connect(
        self, connection: ClientConnection, handshake: Handshake, on_enter: Callable[[Socket], bool]
    ) -> None:
        """Run middleware and the connect handler for a client, then confirm or refuse its connection.

        Args:
            connection: the client's connection.
            handshake: headers, query and auth payload of the client.
            on_enter: called with the new socket before the connect handler; False if the connection has closed.
        """
        self._entering += 1
        try:
            await self.ready()
            await self._admit(connection, handshake, on_enter)
        finally:
            self._entering -= 1
            if not self.occupied:
                self.on_empty()

    async def _admit(
        self, connection: ClientConnection, handshake: Handshake, on_enter: Callable[[Socket], bool]
    ) -> None:
        returning = None
        if self._recovery is not None:
            auth, claim = split_auth(handshake.auth)
            if claim is not None:
                handshake = replace(handshake, auth=auth)
                returning = await self._recovery.find(claim)
        sid = make_sid(self.runtime.identity.tag) if returning is None else returning.session.sid
        socket = Socket(sid, self, self._dispatcher.handle, connection, handshake)
        if self._recovery is not None:
            self._recovery.begin(socket, returning)
        try:
            await self._pass(socket, on_enter, returning)
        finally:
            if self._recovery is not None and returning is not None and not returning.returning.resumed:
                self._recovery.give_back(returning)

    async def _pass(
        self, socket: Socket, on_enter: Callable[[Socket], bool], returning: "Resumption | None"
    ) -> None:
        """Run middleware and the connect handler for a socket, then confirm or refuse its connection."""
        try:
            refusal = await self._pass_middleware(socket)
        except asyncio.CancelledError:
            self._abandon(socket)
            raise
        if refusal is None and not on_enter(socket):
            self._abandon(socket)
            return
        if refusal is None:
            refusal = await self._call_connect_handler(socket, returning)
        if refusal is None:
            await self._accept(socket)
        else:
            self._refuse(socket, refusal)

    async def _pass_middleware(self, socket: Socket) -> ConnectRefused | None:
        skips = socket.recovered and self._recovery is not None and self._recovery.skip_middlewares
        if skips or not self._registry.middleware:
            return None
        return await self._admission.refusal_of(self._admission.pass_middleware(socket), socket)

    async def _call_connect_handler(self, socket: Socket, returning: "Resumption | None") -> ConnectRefused | None:
        self._connecting.add(socket.id)
        try:
            return await self._admission.refusal_of(self._enter(socket, returning), socket)
        except asyncio.CancelledError:
            if socket.gone_reason:
                await self._accept(socket)  # runs the disconnect handler
            raise
        finally:
            self._connecting.discard(socket.id)

    async def _accept(self, socket: Socket) -> None:
        """Confirm the connection. If the client has disconnected in the meantime, run the disconnect handler."""
        socket.confirm_connect()
        handler = self._registry.handlers.get("disconnect")
        if handler is not None and not socket.connected:
            await self._dispatcher.handle_disconnect(handler, socket, socket.gone_reason)

    async def _enter(self, socket: Socket, returning: "Resumption | None") -> None:
        socket.admit()
        self._members.add(socket)
        if self._recovery is not None:
            self._recovery.entered(socket)
        rooms = (socket.id,) if returning is None else returning.session.rooms
        joined = self.adapter.add(socket.id, rooms)
        if returning is not None and self._recovery is not None:
            self._recovery.resume(socket, returning)
        await joined
        await self._admission.call_handler(socket)

    def _abandon(self, socket: Socket) -> None:
        """Remove what middleware did for a client that has gone in the meantime."""
        self._take_out(socket, "transport close")
        socket.on_disconnect((), "transport close", None)

    def _refuse(self, socket: Socket, refusal: ConnectRefused) -> None:
        self.runtime.notices.debug("connect_refused", namespace=self.name, sid=socket.id, reason=refusal.message)
        if socket.connected:  # the connect handler awaited an acknowledgement, so the client is already connected
            socket.disconnect_nowait(close=False)
            return
        self._take_out(socket, "refused")
        if socket.gone_reason:
            return
        socket.refuse(self._admission.encode_refusal(refusal))

    # For sockets.

    def confirm_connect(self, socket: Socket) -> None:
        """Write broadcasts directly to the connection from now on; the CONNECT packet is about to be written."""
        self._members.confirm_connect(socket)
        notify(self.runtime.observers.connected, socket)

    def remove(self, socket: Socket, reason: str) -> None:
        """Remove a socket. Its disconnect handler runs after the events that are still queued."""
        if self.sockets.get(socket.id) is not socket:
            return
        # While the connect handler is running, `_accept` runs the disconnect handler after it.
        handler = None if socket.id in self._connecting else self._registry.handlers.get("disconnect")
        rooms, was_connected = self._take_out(socket, reason), socket.connected
        run_handler = None
        if handler is not None:
            run_handler = partial(self._dispatcher.handle_disconnect, handler, socket, reason)
        socket.on_disconnect(rooms, reason, run_handler)
        if was_connected:
            notify(self.runtime.observers.disconnected, socket, reason)
        if not self.occupied:
            self.on_empty()

    def set_listening(self, socket: Socket, listening: bool) -> None:
        """Start or stop reporting the events of broadcasts to a socket's outgoing listeners."""
        self._members.set_listening(socket, listening)

    def next_ack_id(self) -> int:
        """Return an ack id that no socket of the namespace is waiting for."""
        return self._members.next_ack_id()

    def note_change(self, socket: Socket) -> None:
        """Note that the data of a socket that has a `session` may change."""
        if self._recovery is not None:
            self._recovery.note_change(socket)

    def record_event(self, socket: Socket, frames: Frames, *, volatile: bool) -> Frames:
        """Record an event to a socket that has a `session`, and append its offset."""
        assert self._recovery is not None
        return self._recovery.record_event(socket, frames, volatile=volatile)

    def _take_out(self, socket: Socket, reason: str) -> tuple[str, ...]:
        self._members.remove(socket)
        rooms = tuple(self.adapter.rooms_of(socket.id))
        if self._recovery is not None:  # before the node would unsubscribe from the rooms
            self._recovery.suspend(socket, reason, rooms)
        self.adapter.remove_all(socket.id)
        return rooms

    def _room_event(self, event: str, room: str, sid: Sid | None) -> None:
        self._registry.listeners.room_event(event, room, sid)
        if self._recovery is not None and sid is not None and sid in self._members.sockets:
            self._recovery.note_change(self._members.sockets[sid])
        observers = self.runtime.observers
        functions = observers.room_joined if event == "join-room" else observers.room_left
        if functions and sid is not None:
            notify(functions, self.name, room, sid)

    def _server_side_event(self, args: Sequence[Any], respond: Callable[[list[Any]], None] | None) -> None:
        self.runtime.tasks.spawn(self._registry.listeners.server_side_event(args, respond))
