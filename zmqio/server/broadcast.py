"""An operation on many sockets: whom it reaches is collected first, what happens to them comes last.

`io.to("a").to("b").except_("c").volatile.emit("news", 1)`, see `Targeting` for the steps.

Source: `BroadcastOperator` of Socket.IO v4, https://socket.io/docs/v4/server-api/#server
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from zmqio.adapter.base import Adapter, SocketDescription, Target
from zmqio.exceptions import RequestTimeoutError
from zmqio.ids import Sid
from zmqio.protocol.packet import AckableFrames, Frames, Packet, PacketType
from zmqio.server.acks import ack_value
from zmqio.server.targeting import Targeting, room_names

__all__ = ["Broadcast", "BroadcastNamespace", "RemoteSocket"]

SLICE_SOCKETS = 2_000
"""Remote sockets made in one turn of the loop: about 3 ms (the target is 10 ms)."""


class BroadcastNamespace(Protocol):
    """What a broadcast needs of its namespace."""

    @property
    def name(self) -> str:
        """The namespace's name."""

    @property
    def adapter(self) -> Adapter:
        """The namespace's adapter."""

    @property
    def request_timeout_s(self) -> float:
        """Seconds that answers may take if nothing else is asked for."""

    async def ready(self) -> None:
        """Open the namespace, if that has not happened yet."""

    def encode_packet(self, packet: Packet, /) -> Frames:
        """Encode a packet, once for all who get it."""

    def encode_ackable(self, packet: Packet, /) -> AckableFrames:
        """Encode an event whose ack id each node fills in."""

    def check_event(self, event: str, /) -> None:
        """Refuse an event name that clients would not take."""


class Broadcast(Targeting):
    """Reaches sockets of a namespace on every node.

    Args:
        stage: the namespace.
        target: whom it reaches; left out: every socket of the namespace.
        timeout_s: how long answers may take; None means the server's `request_timeout_s`.
    """

    __slots__ = ("_stage", "_timeout_s")

    def __init__(
        self, stage: BroadcastNamespace, target: Target | None = None, timeout_s: float | None = None
    ) -> None:
        super().__init__(target or Target())
        self._stage = stage
        self._timeout_s = timeout_s

    def timeout(self, seconds: float) -> "Broadcast":
        """How long `emit_with_ack` and `fetch_sockets` wait for answers."""
        return Broadcast(self._stage, self._target, seconds)

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event: to sockets of this process at once, to the others through the broker.

        Raises:
            PacketError: an argument is neither JSON-like nor bytes; nobody got it.
            BusError: other nodes did not get it; sockets of this process did.
            RuntimeError: this is not the server's event loop; `zmqio.Emitter` can be used from any thread.
        """
        await self._stage.ready()
        self._stage.check_event(event)
        frames = self._stage.encode_packet(Packet(PacketType.EVENT, self._stage.name, [event, *args]))
        await self._stage.adapter.broadcast(frames, self._target)

    send = emit

    async def emit_with_ack(self, event: str, *args: Any) -> list[Any]:
        """Send an event and gather the acknowledgement of every client that it reaches.

        Returns:
            One value a client, in the order in which they came: None, the value, or a tuple of several.

        Raises:
            RequestTimeoutError: some did not answer in time; `.responses` keeps the answers that came.
            PacketError, BusError: as `emit`.
        """
        await self._stage.ready()
        self._stage.check_event(event)
        frames = self._stage.encode_ackable(Packet(PacketType.EVENT, self._stage.name, [event, *args]))
        try:
            answers = await self._stage.adapter.broadcast_with_ack(frames, self._target, self._limit_s)
        except RequestTimeoutError as error:
            raise error.with_responses([ack_value(answer) for answer in error.responses]) from None
        return [ack_value(answer) for answer in answers]

    async def fetch_sockets(self) -> list["RemoteSocket"]:
        """Get the sockets that this reaches, of every node.

        Raises:
            RequestTimeoutError: a live node did not answer; `.responses` keeps what came, `.missing` names it.
        """
        await self._stage.ready()
        try:
            found = await self._stage.adapter.fetch_sockets(self._target, self._limit_s)
        except RequestTimeoutError as error:
            raise error.with_responses(await self._remote(error.responses)) from None
        return await self._remote(found)

    async def sockets_join(self, *rooms: str) -> None:
        """Put the sockets that this reaches in rooms."""
        await self._stage.ready()
        await self._stage.adapter.add_sockets(self._target, room_names(rooms))

    async def sockets_leave(self, *rooms: str) -> None:
        """Take the sockets that this reaches out of rooms."""
        await self._stage.ready()
        await self._stage.adapter.remove_sockets(self._target, room_names(rooms))

    async def disconnect_sockets(self, *, close: bool = False) -> None:
        """Disconnect the sockets that this reaches; with `close` their whole connections."""
        await self._stage.ready()
        await self._stage.adapter.disconnect_sockets(self._target, close=close)

    async def _remote(self, found: Sequence[SocketDescription]) -> list["RemoteSocket"]:
        sockets: list[RemoteSocket] = []
        for start in range(0, len(found), SLICE_SOCKETS):
            if start:
                await asyncio.sleep(0)
            some = found[start : start + SLICE_SOCKETS]
            sockets += [RemoteSocket(each, self._stage, local=self._target.local) for each in some]
        return sockets

    @property
    def _limit_s(self) -> float:
        return self._stage.request_timeout_s if self._timeout_s is None else self._timeout_s

    def _with(self, target: Target) -> "Broadcast":
        return Broadcast(self._stage, target, self._timeout_s)


class RemoteSocket:
    """A socket of any node, as it was when `fetch_sockets` asked for it.

    Attributes:
        id, handshake, rooms, data: as of the socket itself; changes here reach nobody.
        node_id: the node that owns it.
    """

    __slots__ = ("_local", "_stage", "data", "handshake", "id", "node_id", "rooms")

    def __init__(self, description: SocketDescription, stage: BroadcastNamespace, *, local: bool = False) -> None:
        self.id: Sid = description.sid
        self.handshake = description.handshake
        self.rooms = frozenset(description.rooms)
        self.data = description.data
        self.node_id = description.node_id
        self._stage = stage
        self._local = local

    def __repr__(self) -> str:
        return f"<RemoteSocket {self.id} of node {self.node_id}>"

    @property
    def _operation(self) -> Broadcast:  # made when it is needed: thousands may be fetched and few spoken to
        return Broadcast(self._stage, Target(rooms=frozenset((self.id,)), local=self._local))

    async def emit(self, event: str, *args: Any) -> None:
        """Send it an event. Raises as `Broadcast.emit`."""
        await self._operation.emit(event, *args)

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Send it an event and wait for its acknowledgement. Raises as `Broadcast.emit_with_ack`."""
        operation = self._operation if timeout is None else self._operation.timeout(timeout)
        answers = await operation.emit_with_ack(event, *args)
        return answers[0] if answers else None

    async def join(self, *rooms: str) -> None:
        """Put it in rooms."""
        await self._operation.sockets_join(*rooms)

    async def leave(self, *rooms: str) -> None:
        """Take it out of rooms."""
        await self._operation.sockets_leave(*rooms)

    async def disconnect(self, *, close: bool = False) -> None:
        """Disconnect it; with `close` its whole connection."""
        await self._operation.disconnect_sockets(close=close)
