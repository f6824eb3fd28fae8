"""The sockets of one namespace in this process: implements `LocalSockets` for the adapter."""

import asyncio
import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Any

import structlog

from zmqio.adapter.base import SocketDescription
from zmqio.engine.direct_write import DirectWriter
from zmqio.exceptions import PacketError
from zmqio.ids import Sid
from zmqio.protocol.packet import RESERVED_EVENTS, AckableFrames, Frames, Packet, PacketType
from zmqio.server.runtime import Runtime
from zmqio.server.socket import Socket

__all__ = ["NamespaceMembers", "check_event"]

log = structlog.get_logger(__name__)

RoomEvent = Callable[[str, str, Sid | None], None]
ServerSideEvent = Callable[[Sequence[Any], Callable[[list[Any]], None] | None], None]


class NamespaceMembers:
    """Sid -> socket, and how packets get to them.

    Args:
        namespace: its name.
        runtime: the parts of the server.
        room_event: told when a room is made or removed, entered or left.
        server_side_event: told what other nodes say by `server_side_emit`.
    """

    def __init__(
        self, namespace: str, runtime: Runtime, room_event: RoomEvent, server_side_event: ServerSideEvent
    ) -> None:
        self.sockets: dict[Sid, Socket] = {}
        self.room_event = room_event
        self.server_side_event = server_side_event
        self._namespace = namespace
        self._runtime = runtime
        self._writers: dict[str, DirectWriter] = {}
        self._listening: set[Sid] = set()  # with listeners of outgoing events
        self._ack_ids = itertools.count()

    def enter(self, socket: Socket) -> None:
        """Take in a socket whose client was not told yet that it is connected."""
        self.sockets[socket.id] = socket
        self._writers[socket.id] = DirectWriter(socket.hold)
        if socket.taps is not None and socket.taps.outgoing:  # from its connection middleware
            self._listening.add(socket.id)

    def settle(self, socket: Socket) -> None:
        """The client is about to be told: broadcasts go straight to its connection from now on."""
        self.catch_up(socket.id)
        self._writers[socket.id] = socket.direct_writer

    def drop(self, socket: Socket) -> bool:
        """Take a socket out; False if it was not in."""
        if self.sockets.get(socket.id) is not socket:
            return False
        del self.sockets[socket.id]
        del self._writers[socket.id]
        self._listening.discard(socket.id)
        return True

    def listen(self, socket: Socket, listening: bool) -> None:
        """Tell a socket of the events in broadcasts to it from now on, or no more."""
        if listening and socket.id in self.sockets:
            self._listening.add(socket.id)
        else:
            self._listening.discard(socket.id)

    def next_ack_id(self) -> int:
        """An ack id that no socket of the namespace waits for."""
        return next(self._ack_ids)

    def catch_up(self, sid: Sid) -> None:
        """Deliver what still waits for a socket, before something is written to it directly."""
        if self._runtime.fanout.busy:
            self._runtime.fanout.catch_up(sid)

    def deliver(self, sids: Collection[Sid], frames: Frames, *, volatile: bool = False) -> None:
        """Write one encoded packet to each of `sids`, or let it queue behind earlier ones."""
        if self._listening:
            self._tell_listening(self._listening.intersection(sids), frames)
        if sids:
            # A write may close a client, which then leaves its rooms: a live set of them must not be looked at.
            fixed = sids if isinstance(sids, tuple | list) else tuple(sids)
            prepared = self._runtime.engine.prepare(frames)
            self._runtime.fanout.deliver(fixed, self._writers, prepared, volatile=volatile)

    def _tell_listening(self, sids: Collection[Sid], frames: Frames) -> None:
        if not sids:
            return
        decoder = self._runtime.parser.decoder()
        try:
            packets = [packet for frame in frames if (packet := decoder.add(frame)) is not None]
        except PacketError as error:  # another node has another parser, or attaches more
            log.warning("broadcast_not_decoded", namespace=self._namespace, error=str(error))
            return
        for packet in packets:
            event, *args = packet.data
            for socket in [self.sockets[sid] for sid in sids if sid in self.sockets]:
                socket.tell_outgoing(event, args)

    def deliver_with_ack(
        self,
        sids: Collection[Sid],
        frames: AckableFrames,
        answered: Callable[[list[Any]], None],
        timeout_s: float,
    ) -> None:
        """Write a packet that asks for an acknowledgement; `answered(args)` for each that comes in time."""
        sockets = [self.sockets[sid] for sid in sids if sid in self.sockets]
        ack_id = self.next_ack_id()
        for socket in sockets:
            socket.expect_ack(ack_id, answered)
        self.deliver([socket.id for socket in sockets], frames.fill(ack_id))
        asyncio.get_running_loop().call_later(timeout_s, _forget_acks, sockets, ack_id)

    def encode(self, event: str, args: Sequence[Any]) -> Frames:
        """Encode an event that came from an outside service."""
        check_event(event)
        return self._runtime.parser.encode(Packet(PacketType.EVENT, self._namespace, [event, *args]))

    def describe(self, sids: Collection[Sid]) -> list[SocketDescription]:
        """Describe those of `sids` that are here."""
        node_id = self._runtime.identity.node_id
        return [self.sockets[sid].describe(node_id) for sid in sids if sid in self.sockets]

    def disconnect(self, sids: Collection[Sid], *, close: bool) -> None:
        """Disconnect sockets; with `close` their whole connections."""
        for socket in [self.sockets[sid] for sid in sids if sid in self.sockets]:
            socket.disconnect_soon(close=close)


def check_event(event: str) -> None:
    """Refuse an event name that clients would not take.

    Raises:
        PacketError: it is reserved by Socket.IO, or not text.
    """
    if not isinstance(event, str):
        raise PacketError(f"an event is named by text, not by {event!r}")
    if event in RESERVED_EVENTS:
        raise PacketError(f"{event!r} is reserved by Socket.IO; choose another name for the event")


def _forget_acks(sockets: list[Socket], ack_id: int) -> None:
    for socket in sockets:
        socket.forget_ack(ack_id)
