"""A client: one Engine.IO connection, and its sockets in the namespaces that it joined.

Implements `ConnectionEvents` for the engine and `Line` for its sockets. Decides what a packet may do in which
state; the rules are those of the JavaScript server (socket.io 4.8, `Client.ondecoded`): whatever makes no sense
ends the connection.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from zmqio.engine.server import ClientRequest, Session
from zmqio.exceptions import PacketError
from zmqio.protocol.packet import Packet, PacketType
from zmqio.server.handshake import Handshake
from zmqio.server.namespace import Namespace
from zmqio.server.runtime import Runtime
from zmqio.server.socket import Socket

__all__ = ["Client"]

log = structlog.get_logger(__name__)

FindNamespace = Callable[[str, Any], Awaitable[Namespace | None]]


class Client:
    """One connection.

    Args:
        session: its Engine.IO session.
        request: the first HTTP request.
        runtime: the parts of the server.
        find_namespace: gives the namespace for a name and the auth payload, or None if there is none.
    """

    def __init__(
        self, session: Session, request: ClientRequest, runtime: Runtime, find_namespace: FindNamespace
    ) -> None:
        self.write = session.write
        self.direct_writer = session.direct_writer
        self._session = session
        self._request = request
        self._runtime = runtime
        self._find_namespace = find_namespace
        self._decoder = runtime.parser.decoder()
        self._sockets: dict[str, Socket] = {}
        self._entering: set[str] = set()
        self._left: set[str] = set()
        self._connect_timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(
            runtime.options.connect_timeout_s, self._connect_timed_out
        )

    @property
    def transport_name(self) -> str:
        """`polling` or `websocket`, as it is now."""
        return self._session.transport_name

    # From the engine.

    def message(self, data: str | bytes) -> Awaitable[None] | None:
        """Take one Engine.IO message; the result, if any, is done when the client may be read on."""
        try:
            packet = self._decoder.add(data)
        except PacketError as error:
            self._runtime.counters["packets_malformed"] += 1
            self._runtime.notices.info(
                "client_sent_malformed_packet", engine_sid=self._session.sid, error=str(error)
            )
            self._session.close_soon("parse error")
            return None
        return None if packet is None else self._dispatch(packet)

    def closed(self, reason: str) -> None:
        """The connection has ended: every socket leaves its namespace."""
        self._stop_timer()
        self._entering.clear()
        sockets, self._sockets = self._sockets, {}
        for socket in sockets.values():
            socket.line_closed(reason)

    # From the server.

    def leave(self, reason: str) -> None:
        """Let the client go, so that it comes back by itself, elsewhere.

        It gets what was sent to it before. No DISCONNECT packet: clients take that for good.
        """
        fanout = self._runtime.fanout
        if fanout.busy:
            for socket in list(self._sockets.values()):
                fanout.catch_up(socket.id)
        self._session.close_soon(reason)

    # From its sockets.

    def forget(self, socket: Socket) -> None:
        """A socket has left its namespace, and the connection goes on."""
        if self._sockets.get(socket.namespace) is socket:
            del self._sockets[socket.namespace]
            if len(self._left) >= self._runtime.options.max_namespaces_per_client:
                self._left.pop()
            self._left.add(socket.namespace)  # what the client has sent before it hears of it is no fault

    def disconnect_all(self) -> None:
        """Disconnect the client from all namespaces and close the connection."""
        for socket in list(self._sockets.values()):
            socket.disconnect_soon(close=False)
        self._session.close_soon("forced server close")

    def _dispatch(self, packet: Packet) -> Awaitable[None] | None:
        socket = self._sockets.get(packet.namespace)
        if packet.type is PacketType.CONNECT and socket is None and packet.namespace not in self._entering:
            self._let_enter(packet)
        elif socket is None and packet.namespace in self._left:
            log.debug("packet_of_a_left_namespace", engine_sid=self._session.sid, namespace=packet.namespace)
        elif socket is None or not socket.connected:
            self._refuse_packet(packet)
        elif packet.type is PacketType.DISCONNECT:
            del self._sockets[packet.namespace]
            socket.line_closed("client namespace disconnect")
        elif packet.type in (PacketType.EVENT, PacketType.ACK):
            return socket.receive(packet)
        else:
            self._refuse_packet(packet)
        return None

    def _refuse_packet(self, packet: Packet) -> None:
        self._runtime.counters["packets_out_of_place"] += 1
        self._runtime.notices.info(
            "client_sent_packet_out_of_place",
            engine_sid=self._session.sid,
            packet_type=packet.type.name,
            namespace=packet.namespace[:100],
        )
        self._session.close_soon("forced close")

    def _let_enter(self, packet: Packet) -> None:
        if len(self._sockets.keys() | self._entering) >= self._runtime.options.max_namespaces_per_client:
            self._runtime.counters["namespaces_refused"] += 1
            self._refuse_connect(packet.namespace, "Too many namespaces")
            return
        self._entering.add(packet.namespace)
        self._runtime.tasks.spawn(self._connect(packet))

    def _refuse_connect(self, name: str, why: str) -> None:
        self._session.write(self._runtime.prepare(Packet(PacketType.CONNECT_ERROR, name, {"message": why})))

    async def _connect(self, packet: Packet) -> None:
        name = packet.namespace
        namespace = await self._find_namespace(name, packet.data)
        if namespace is None:
            self._entering.discard(name)
            self._refuse_connect(name, "Invalid namespace")
            return
        await namespace.connect(
            self, Handshake.of(self._request, {} if packet.data is None else packet.data), self._entered
        )
        self._entering.discard(name)
        socket = self._sockets.get(name)
        if socket is not None and socket.connected:
            self._stop_timer()
        elif socket is not None:
            del self._sockets[name]  # refused: the client may try again

    def _entered(self, socket: Socket) -> bool:
        if socket.namespace not in self._entering:
            return False  # the connection ended while middleware ran
        self._sockets[socket.namespace] = socket
        self._left.discard(socket.namespace)
        return True

    def _stop_timer(self) -> None:
        if self._connect_timer is not None:
            self._connect_timer.cancel()
            self._connect_timer = None

    def _connect_timed_out(self) -> None:
        self._connect_timer = None
        if self._left or any(socket.connected for socket in self._sockets.values()):
            return  # it has joined one, perhaps in a connect handler that still runs
        self._runtime.notices.info(
            "client_joined_no_namespace",
            engine_sid=self._session.sid,
            connect_timeout_s=self._runtime.options.connect_timeout_s,
        )
        self._session.close_soon("forced close")
