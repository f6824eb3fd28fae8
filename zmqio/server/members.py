"""The sockets of one namespace in this process. Implements `LocalSockets` for the adapter."""

import asyncio
import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Any

from zmqio.adapter.base import SocketDescription
from zmqio.engine.direct_write import DirectWriter
from zmqio.exceptions import PacketError
from zmqio.ids import Sid
from zmqio.logger import get_logger
from zmqio.protocol.packet import AckableFrames, Frames, Packet, PacketType
from zmqio.server.observers import notify
from zmqio.server.runtime import Runtime
from zmqio.server.socket import Socket
from zmqio.server.targeting import check_event

__all__ = ["NamespaceMembers"]

log = get_logger(__name__)

RoomEvent = Callable[[str, str, Sid | None], None]
ServerSideEvent = Callable[[Sequence[Any], Callable[[list[Any]], None] | None], None]


class NamespaceMembers:
    """Maps socket ids to sockets and delivers packets to them.

    Args:
        namespace: the namespace's name.
        runtime: the shared parts of the server.
        room_event: called when a room is created or deleted, joined or left.
        server_side_event: called with an event that another node sent by `server_side_emit`.

    Attributes:
        add_offset: appends the position to each event, so that its clients can be recovered; None if they cannot.
    """

    def __init__(
        self, namespace: str, runtime: Runtime, room_event: RoomEvent, server_side_event: ServerSideEvent
    ) -> None:
        self.sockets: dict[Sid, Socket] = {}
        self.room_event = room_event
        self.server_side_event = server_side_event
        self.add_offset: Callable[[Frames], Frames] | None = None
        self._namespace = namespace
        self._runtime = runtime
        self._writers: dict[str, DirectWriter] = {}
        self._listening: set[Sid] = set()  # sockets with outgoing listeners
        self._ack_ids = itertools.count()

    def add(self, socket: Socket) -> None:
        """Add a socket that is still connecting: broadcasts to it are queued in the socket."""
        self.sockets[socket.id] = socket
        self._writers[socket.id] = DirectWriter(socket.queue_packet)
        if socket.listeners is not None and socket.listeners.outgoing:  # registered by connection middleware
            self._listening.add(socket.id)

    def confirm_connect(self, socket: Socket) -> None:
        """Write broadcasts directly to the connection from now on; the CONNECT packet is about to be written."""
        if self._runtime.fanout.busy:
            self._runtime.fanout.flush_for(socket.id)
        self._writers[socket.id] = socket.direct_writer

    def remove(self, socket: Socket) -> None:
        """Remove a socket. Does nothing if it is not a member."""
        if self.sockets.get(socket.id) is socket:
            del self.sockets[socket.id]
            del self._writers[socket.id]
            self._listening.discard(socket.id)

    def set_listening(self, socket: Socket, listening: bool) -> None:
        """Start or stop reporting the events of broadcasts to a socket's outgoing listeners."""
        if listening and socket.id in self.sockets:
            self._listening.add(socket.id)
        else:
            self._listening.discard(socket.id)

    def next_ack_id(self) -> int:
        """Return an ack id that no socket of the namespace is waiting for."""
        return next(self._ack_ids)

    def deliver(self, sids: Collection[Sid], frames: Frames, *, volatile: bool = False) -> None:
        """Write one encoded packet to each of `sids`, or queue it behind earlier broadcasts."""
        self._deliver(sids, frames, self.add_offset, volatile=volatile)

    def _deliver(
        self,
        sids: Collection[Sid],
        frames: Frames,
        add_offset: Callable[[Frames], Frames] | None = None,
        *,
        volatile: bool = False,
    ) -> None:
        if self._listening or self._runtime.observers.event_sent:
            self._report(sids, frames)
        if sids:
            if add_offset is not None:
                frames = add_offset(frames)
            # A write may close a client, which then leaves its rooms: a live set of members must not be iterated.
            fixed = sids if isinstance(sids, tuple | list) else tuple(sids)
            prepared = self._runtime.engine.prepare(frames)
            counters, count = self._runtime.counters, len(fixed)
            prepared.is_shared = count > 1
            counters["broadcasts_delivered"] += 1
            counters["events_sent"] += count
            counters["bytes_sent"] += count * sum(map(len, prepared.packets))
            self._runtime.fanout.deliver(fixed, self._writers, prepared, volatile=volatile)

    def _report(self, sids: Collection[Sid], frames: Frames) -> None:
        """Report a packet to observers, and to the listeners of those sockets that have some."""
        observers, listening = self._runtime.observers.event_sent, self._listening.intersection(sids)
        if not sids or not (observers or listening):
            return
        for packet in self._decode(frames):
            event, *args = packet.data
            notify(observers, self._namespace, sids, event, args)
            for socket in [self.sockets[sid] for sid in listening if sid in self.sockets]:
                socket.notify_listeners(event, args)

    def _decode(self, frames: Frames) -> list[Packet]:
        decoder = self._runtime.parser.decoder()
        try:
            return [packet for frame in frames if (packet := decoder.add(frame)) is not None]
        except PacketError as error:  # the sending node uses another parser, or allows more attachments
            log.warning("broadcast_decode_failed", namespace=self._namespace, error=str(error))
            return []

    def deliver_with_ack(
        self,
        sids: Collection[Sid],
        frames: AckableFrames,
        on_ack: Callable[[list[Any]], None],
        on_expected: Callable[[int], None],
        timeout_s: float,
    ) -> None:
        """Write a packet that requests an acknowledgement.

        Args:
            sids: the sockets to reach; ids that are not in this process are ignored.
            frames: the encoded packet, without its ack id.
            on_ack: called with the arguments of each acknowledgement that arrives within `timeout_s`.
            on_expected: called with the number of acknowledgements to expect, and again when clients that have
                not acknowledged disconnect.
            timeout_s: seconds after which acknowledgements are ignored.
        """
        sockets = [self.sockets[sid] for sid in sids if sid in self.sockets]
        expected = _ExpectedAcks(len(sockets), on_expected)
        on_expected(len(sockets))
        if not sockets:
            return
        ack_id = self.next_ack_id()
        for socket in sockets:
            socket.expect_ack(ack_id, on_ack, expected.one_less)
        self._deliver([socket.id for socket in sockets], frames.fill(ack_id))
        asyncio.get_running_loop().call_later(timeout_s, _forget_acks, sockets, ack_id)

    def encode(self, event: str, args: Sequence[Any]) -> Frames:
        """Encode an event that an outside service published.

        Raises:
            PacketError: the event name is reserved or not a string, or an argument cannot be encoded.
        """
        check_event(event)
        return self._runtime.parser.encode(Packet(PacketType.EVENT, self._namespace, [event, *args]))

    def describe(self, sids: Collection[Sid]) -> list[SocketDescription]:
        """Describe the sockets of `sids` that are in this process."""
        node_id = self._runtime.identity.node_id
        return [self.sockets[sid].describe(node_id) for sid in sids if sid in self.sockets]

    def disconnect(self, sids: Collection[Sid], *, close: bool) -> None:
        """Disconnect sockets; with `close`, their whole connections."""
        for socket in [self.sockets[sid] for sid in sids if sid in self.sockets]:
            socket.disconnect_nowait(close=close)


class _ExpectedAcks:
    """Number of acknowledgements to expect; reported once per turn of the event loop in which clients leave."""

    __slots__ = ("_count", "_report", "_scheduled")

    def __init__(self, count: int, report: Callable[[int], None]) -> None:
        self._count = count
        self._report = report
        self._scheduled = False

    def one_less(self) -> None:
        """A client has disconnected that had not acknowledged."""
        self._count -= 1
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._scheduled = False
        self._report(self._count)


def _forget_acks(sockets: list[Socket], ack_id: int) -> None:
    for socket in sockets:
        socket.forget_ack(ack_id)
