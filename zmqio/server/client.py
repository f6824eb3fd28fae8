"""A client: one Engine.IO connection and its sockets in the namespaces that it joined.

Implements `ConnectionEvents` for the engine and `ClientConnection` for its sockets. It decides which packet is
allowed in which state. The rules are those of the JavaScript server (socket.io 4.8, `Client.ondecoded`): an
unexpected packet closes the connection.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

from zmqio.engine.server import ClientRequest, Session
from zmqio.exceptions import PacketError
from zmqio.protocol.packet import Packet, PacketType
from zmqio.protocol.value_limits import decoded_bytes, takes_more_than
from zmqio.server.event_budget import EventBudget
from zmqio.server.handshake import Handshake
from zmqio.server.namespace import Namespace
from zmqio.server.observers import notify
from zmqio.server.runtime import CONNECT_TIMED_OUT, Runtime
from zmqio.server.socket import Socket

__all__ = ["Client"]


SERVER_REASONS = frozenset({"forced server close", "server shutting down"})
"""Reasons with which the server closes a connection. Its connect handlers continue, within their time limit."""
KEPT_EVENT_BYTES = 64 << 10
"""Most bytes of queued events that are still handled after their client has gone; beyond that, all are dropped."""
CONNECTION_ID_LENGTH = 16
PACKET_BYTES = 512
SHORT_PACKET = 256
"""Longest packet whose size in memory is estimated without counting its items."""

FindNamespace = Callable[[str, Any], Namespace | Awaitable[Namespace | None]]


class Client:
    """One connection.

    Args:
        session: its Engine.IO session.
        request: the first HTTP request.
        runtime: the shared parts of the server.
        find_namespace: returns the namespace for a name and an auth payload, or waits for a rule's decision on it.
    """

    __slots__ = (
        "_decoder",
        "_entering",
        "_event_budget",
        "_find_namespace",
        "_incomplete_bytes",
        "_left",
        "_request",
        "_runtime",
        "_session",
        "_sockets",
        "direct_writer",
        "write",
    )

    def __init__(
        self, session: Session, request: ClientRequest, runtime: Runtime, find_namespace: FindNamespace
    ) -> None:
        self.write = session.write
        self.direct_writer = session.direct_writer
        self._session = session
        self._request: ClientRequest | Handshake = request
        self._runtime = runtime
        self._find_namespace = find_namespace
        self._decoder = runtime.parser.decoder()
        self._sockets: dict[str, Socket] = {}
        self._entering: dict[str, asyncio.Task[None]] = {}
        self._left: set[str] | None = None  # namespaces that the server has disconnected the client from
        self._event_budget: EventBudget | None = None
        self._incomplete_bytes = 0  # of a packet that waits for its attachments
        runtime.connecting.add(self)

    @property
    def connection_id(self) -> str:
        """Identifies the connection: a hash of the Engine.IO session id, which itself must stay secret."""
        return sha256(self._session.sid.encode()).hexdigest()[:CONNECTION_ID_LENGTH]

    @property
    def transport_name(self) -> str:
        """The current transport: `polling` or `websocket`."""
        return self._session.transport_name

    @property
    def event_budget(self) -> EventBudget:
        """The memory of this client's events, in all namespaces."""
        if self._event_budget is None:
            self._event_budget = EventBudget(self._runtime.options.max_pending_event_bytes)
        return self._event_budget

    # Called by the engine.

    def message(self, data: str | bytes) -> Awaitable[None] | None:
        """Handle one Engine.IO message.

        Returns:
            None, or an awaitable that completes when the next message of this client may be read.
        """
        self._runtime.counters["bytes_received"] += len(data)
        is_attachment = self._decoder.pending
        try:
            packet = self._decoder.add(data)
        except PacketError as error:
            self._runtime.counters["packets_malformed"] += 1
            self._runtime.notices.info("malformed_packet_received", engine_sid=self._session.sid, error=str(error))
            self._session.close_soon("parse error")
            return None
        size = self._incomplete_bytes + (len(data) if is_attachment else _decoded_bytes(data))
        self._incomplete_bytes = size if packet is None else 0
        return None if packet is None else self._dispatch(packet, size)

    def upgraded(self) -> None:
        """Report to observers that the connection has changed from polling to WebSocket."""
        observers = self._runtime.observers.upgraded
        if observers:
            for socket in self._sockets.values():
                if socket.connected:
                    notify(observers, socket)

    def closed(self, reason: str) -> None:
        """Remove every socket from its namespace: the connection has closed."""
        self._runtime.connecting.remove(self)
        entering, self._entering = self._entering, {}
        sockets, self._sockets = self._sockets, {}
        for socket in sockets.values():
            socket.end(reason)
        if reason not in SERVER_REASONS:  # otherwise the function that disconnected the client would be cancelled
            for task in entering.values():
                task.cancel()
        if self._event_budget is not None and self._event_budget.bytes:
            self._drop_large_events()

    # Called by the drain.

    def close_gracefully(self, reason: str) -> None:
        """Close the connection so that the client reconnects by itself, to another node.

        Queued packets are sent first. No DISCONNECT packet is sent: it would keep the client from reconnecting.
        """
        fanout = self._runtime.fanout
        if fanout.busy:
            for socket in list(self._sockets.values()):
                fanout.flush_for(socket.id)
        self._session.close_soon(reason)

    # Called by the client's sockets.

    def remove_socket(self, socket: Socket) -> None:
        """Remove a socket that the server has disconnected; the connection stays open."""
        if self._sockets.get(socket.namespace) is socket:
            del self._sockets[socket.namespace]
            left = self._left = self._left or set()
            if len(left) >= self._runtime.options.max_namespaces_per_client:
                left.pop()
            left.add(socket.namespace)  # packets sent before the client got the DISCONNECT are no error

    def disconnect_all(self) -> None:
        """Disconnect the client from all namespaces and close the connection."""
        for socket in list(self._sockets.values()):
            socket.disconnect_nowait(close=False)
        self._session.close_soon("forced server close")

    def abort(self, reason: str) -> None:
        """Close a connection that no longer works."""
        self._session.end(reason)

    def _dispatch(self, packet: Packet, size: int) -> Awaitable[None] | None:
        socket = self._sockets.get(packet.namespace)
        if packet.type is PacketType.CONNECT and socket is None and packet.namespace not in self._entering:
            self._enter(packet)
        elif socket is None and self._left and packet.namespace in self._left:
            self._runtime.notices.debug(
                "late_packet_ignored", engine_sid=self._session.sid, namespace=packet.namespace
            )
        elif socket is None or not socket.connected:
            self._reject(packet)
        elif packet.type is PacketType.DISCONNECT:
            del self._sockets[packet.namespace]
            socket.end("client namespace disconnect")
        elif packet.type in (PacketType.EVENT, PacketType.ACK):
            return self._receive(socket, packet, size)
        else:
            self._reject(packet)
        return None

    def _receive(self, socket: Socket, packet: Packet, size: int) -> Awaitable[None] | None:
        room = socket.receive(packet, size)
        if room is not None and self.event_budget.full:
            self._runtime.counters["pending_events_too_large"] += 1
            self._runtime.notices.info(
                "client_paused",
                engine_sid=self._session.sid,
                pending_bytes=self.event_budget.bytes,
                limit=self.event_budget.max_bytes,
                option="max_pending_event_bytes",
            )
        return room

    def _drop_large_events(self) -> None:
        """Drop the queued events of this client, which has gone, unless they are small."""
        waiting = self.event_budget.waiting_bytes
        if waiting > KEPT_EVENT_BYTES:
            dropped = self.event_budget.drop_waiting()
            self._runtime.counters["events_dropped"] += dropped
            self._runtime.notices.info(
                "events_dropped",
                engine_sid=self._session.sid,
                reason="the client has gone",
                count=dropped,
                bytes=waiting,
                limit=KEPT_EVENT_BYTES,
            )

    def _reject(self, packet: Packet) -> None:
        """Close the connection because of an unexpected packet."""
        self._runtime.counters["packets_unexpected"] += 1
        self._runtime.notices.info(
            "unexpected_packet_received",
            engine_sid=self._session.sid,
            packet_type=packet.type.name,
            namespace=packet.namespace[:100],
        )
        self._session.close_soon("forced close")

    def _enter(self, packet: Packet) -> None:
        if len(self._sockets.keys() | self._entering) >= self._runtime.options.max_namespaces_per_client:
            self._runtime.counters["namespaces_refused"] += 1
            self._refuse_connect(packet.namespace, "Too many namespaces")
            return
        limit = self._runtime.options.max_auth_bytes
        if takes_more_than(packet.data, limit):
            self._runtime.counters["auths_refused"] += 1
            self._runtime.notices.info(
                "auth_refused",
                engine_sid=self._session.sid,
                namespace=packet.namespace[:100],
                limit=limit,
                option="max_auth_bytes",
            )
            self._refuse_connect(packet.namespace, f"auth takes more than {limit} bytes in memory; send less")
            return
        self._entering[packet.namespace] = self._runtime.tasks.spawn(self._connect(packet))

    def _refuse_connect(self, name: str, why: str) -> None:
        self._session.write(self._runtime.prepare(Packet(PacketType.CONNECT_ERROR, name, {"message": why})))

    async def _connect(self, packet: Packet) -> None:
        name = packet.namespace
        try:
            refusal = await self._enter_namespace(name, packet.data)
        except Exception:  # noqa: BLE001 - outer edge: the client must get an answer and may try again
            self._runtime.counters["connects_failed"] += 1
            self._runtime.notices.error("connect_failed", subject=name, namespace=name[:100], exc_info=True)
            refusal = "Internal server error"
            socket = self._sockets.pop(name, None)
            if socket is not None:
                socket.end("server error")
        finally:
            self._entering.pop(name, None)
        if refusal:
            self._refuse_connect(name, refusal)
        socket = self._sockets.get(name)
        if socket is not None and socket.connected:
            self._runtime.connecting.remove(self)
        elif socket is not None:
            del self._sockets[name]  # refused: the client may try again

    async def _enter_namespace(self, name: str, auth: Any) -> str:
        """Let the client enter a namespace; return why there is no such namespace, or "" if there is."""
        namespace, refusal = await self._find(name, auth)
        if namespace is None:
            return refusal
        handshake = self._handshake_with({} if auth is None else auth)
        await namespace.connect(self, handshake, self._add_socket)
        return ""

    async def _find(self, name: str, auth: Any) -> tuple[Namespace | None, str]:
        """Return the namespace, or None and why there is none. A rule may take as long as a connect handler."""
        found = self._find_namespace(name, auth)
        if isinstance(found, Namespace):
            return found, ""
        limit_s = self._runtime.options.connect_handler_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                return await found, "Invalid namespace"
        except TimeoutError:
            self._runtime.report_connect_timeout(name, engine_sid=self._session.sid)
            return None, CONNECT_TIMED_OUT

    def _add_socket(self, socket: Socket) -> bool:
        """Add a socket that has passed middleware; False if the connection has closed in the meantime."""
        if socket.namespace not in self._entering:
            return False
        self._sockets[socket.namespace] = socket
        if self._left is not None:
            self._left.discard(socket.namespace)
        return True

    def _handshake_with(self, auth: Any) -> Handshake:
        """The handshake of one namespace. All of a client share what the first request contains."""
        if not isinstance(self._request, ClientRequest):
            return replace(self._request, auth=auth)
        self._request = handshake = Handshake.of(self._request, auth)
        return handshake

    def connect_timed_out(self) -> None:
        """Close the connection, unless it has joined a namespace."""
        if self._left or any(socket.connected for socket in self._sockets.values()):
            return  # it has joined a namespace, perhaps one whose connect handler is still running
        self._runtime.notices.info(
            "connect_timed_out",
            engine_sid=self._session.sid,
            connect_timeout_s=self._runtime.options.connect_timeout_s,
        )
        self._session.end("forced close")  # not `close_soon`: a client that fetches nothing would stay 30 s more


def _decoded_bytes(data: str | bytes) -> int:
    """Estimate the memory of a packet and its place in a queue."""
    return PACKET_BYTES + (len(data) * 8 if len(data) <= SHORT_PACKET else decoded_bytes(data))
