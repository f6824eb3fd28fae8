"""The packets that this node sent lately, found by room: the source of the events that a client missed. Pure.

Time is an argument. The log is bounded by bytes and by age. It consists of segments, which are dropped as a whole,
and sorted by room only when a client returns: a packet that nobody misses costs little. For each room the log
remembers the newest packet that it dropped because of the size limit, so it knows whether a client missed a packet
that is no longer kept. A packet that is too old was missed by nobody: it is older than every lost connection whose
client may still return.
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import TypeAlias

from zmqio.ids import NodeId
from zmqio.protocol.packet import Frames
from zmqio.recovery.vector import Vector, log_key

__all__ = ["LoggedPacket", "PacketLog"]

PACKET_OVERHEAD_BYTES = 500
"""Counted for each packet beside its frames, its rooms and their index (measured: 420 to 520 bytes)."""
SEGMENTS = 64
"""A segment ends when it has this share of the largest size, or covers this share of the greatest age."""
ROOMS_REMEMBERED = 100_000
"""Rooms whose newest dropped packet is remembered, about 20 MB at most. Beyond that, the packet counts for all
rooms."""

_Place: TypeAlias = tuple[str, str | None]  # namespace; room, or None for all sockets


@dataclass(slots=True, eq=False)
class LoggedPacket:
    """A packet.

    Attributes:
        number: its log number.
        at: when it was sent.
        rooms: members of any of these rooms receive it; None for all sockets.
        except_: members of any of these rooms do not.
        frames: the encoded packet, without an offset.
        bus_number: number of the message that carried it to other nodes; None if none did. It is set once the
            packet is published.
        origin: names a packet of an outside service, which other nodes may have received as well; "" for others.
    """

    number: int
    at: float
    rooms: frozenset[str] | None
    except_: frozenset[str]
    frames: Frames
    bus_number: int | None = None
    origin: str = ""


class _Segment:
    """Packets that were sent one after the other, with their namespaces; at least one."""

    __slots__ = ("_by_place", "_indexed", "ends_at", "packets", "size_bytes")

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at
        self.packets: list[tuple[str, LoggedPacket]] = []
        self.size_bytes = 0
        self._by_place: dict[_Place, list[LoggedPacket]] = {}
        self._indexed = 0

    @property
    def newest(self) -> LoggedPacket:
        return self.packets[-1][1]

    def of(self, place: _Place) -> Sequence[LoggedPacket]:
        for namespace, packet in islice(self.packets, self._indexed, None):
            for each in _places_of(namespace, packet):
                self._by_place.setdefault(each, []).append(packet)
        self._indexed = len(self.packets)
        return self._by_place.get(place, ())


class PacketLog:
    """The newest packets of one node, in all namespaces.

    Args:
        node_id: the node.
        max_bytes: most bytes kept, including `PACKET_OVERHEAD_BYTES` for each packet. Beyond that, the oldest are
            dropped.
        max_age_s: seconds that a packet is kept.

    Attributes:
        node_id: as given.
        newest: the newest log number.
        size_bytes: bytes kept now.
    """

    def __init__(self, node_id: NodeId, max_bytes: int, max_age_s: float) -> None:
        self.node_id = node_id
        self.newest = 0
        self.size_bytes = 0
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._segments: deque[_Segment] = deque()
        self._newest_segment = _Segment(float("-inf"))
        self._segment_bytes = max_bytes / SEGMENTS
        self._dropped: dict[_Place, LoggedPacket] = {}
        self._dropped_anywhere: LoggedPacket | None = None

    def __len__(self) -> int:
        return sum(len(segment.packets) for segment in self._segments)

    def next_number(self) -> int:
        """Take the next log number."""
        self.newest += 1
        return self.newest

    def add(self, namespace: str, packet: LoggedPacket) -> None:
        """Keep a packet, whose number is the newest."""
        segment, frames = self._newest_segment, packet.frames
        if packet.at >= segment.ends_at or segment.size_bytes >= self._segment_bytes:
            segment = self._begin_segment(packet.at)
        size = PACKET_OVERHEAD_BYTES + (len(frames[0]) if len(frames) == 1 else sum(map(len, frames)))
        segment.packets.append((namespace, packet))
        segment.size_bytes += size
        self.size_bytes += size
        if self.size_bytes > self._max_bytes:
            self.expire(packet.at)

    def expire(self, now: float) -> None:
        """Drop segments that are too old, or that exceed the size limit."""
        oldest, segments = now - self._max_age_s, self._segments
        while segments and (self.size_bytes > self._max_bytes or segments[0].newest.at < oldest):
            segment = segments.popleft()
            self.size_bytes -= segment.size_bytes
            if segment.newest.at >= oldest:
                self._remember(segment)
        if not segments:
            self._newest_segment = _Segment(float("-inf"))

    def missed(
        self,
        namespace: str,
        rooms: Collection[str],
        vector: Vector,
        since: float,
        private_after: int | None,
        now: float,
    ) -> list[LoggedPacket] | None:
        """The packets for a client that the client has not received, in order.

        Args:
            namespace: the client's namespace.
            rooms: the client's rooms.
            vector: the packets that the client has received.
            since: packets sent before this time are left out if the vector has no number of this node.
            private_after: packets that no message carried to other nodes are included from this log number on;
                None leaves them out, because the client was not on this node.
            now: the time.

        Returns:
            The packets; None if some of them are no longer kept.
        """
        after = _After(vector, self.node_id, since, private_after)
        places: list[_Place] = [(namespace, None), *((namespace, room) for room in rooms)]
        oldest = now - self._max_age_s
        if any(dropped.at >= oldest and after.is_missed(dropped) for dropped in self._dropped_in(places)):
            return None
        members = frozenset(rooms)
        found: list[LoggedPacket] = []
        for packet in merge(*(self._newer(place, after, oldest) for place in places), key=attrgetter("number")):
            is_new = not found or found[-1] is not packet  # a packet for two rooms of the client is found twice
            if is_new and after.is_missed(packet) and members.isdisjoint(packet.except_):
                found.append(packet)
        return found

    def packets(self) -> Iterator[tuple[str, LoggedPacket]]:
        """All packets with their namespaces, the newest first."""
        for segment in reversed(self._segments):
            yield from reversed(segment.packets)

    def newest_dropped(self, now: float) -> LoggedPacket | None:
        """The newest packet that was dropped although a client may have missed it, without its content."""
        traces = [*self._dropped.values(), *([self._dropped_anywhere] if self._dropped_anywhere else [])]
        recent = [trace for trace in traces if trace.at >= now - self._max_age_s]
        return max(recent, key=attrgetter("number"), default=None)

    def mark_dropped(self, packet: LoggedPacket) -> None:
        """Remember a packet as dropped, for all rooms."""
        self._dropped_anywhere = _trace(packet, self._dropped_anywhere)

    def _begin_segment(self, at: float) -> _Segment:
        segment = self._newest_segment = _Segment(at + self._max_age_s / SEGMENTS)
        self._segments.append(segment)
        return segment

    def _newer(self, place: _Place, after: "_After", oldest: float) -> list[LoggedPacket]:
        found = list(self._newest_first(place, after, oldest))
        found.reverse()
        return found

    def _newest_first(self, place: _Place, after: "_After", oldest: float) -> Iterator[LoggedPacket]:
        for segment in reversed(self._segments):
            if after.has_received_up_to(segment.newest):
                return
            for packet in reversed(segment.of(place)):
                if packet.at < oldest or after.has_received_up_to(packet):
                    return
                yield packet

    def _dropped_in(self, places: list[_Place]) -> Iterator[LoggedPacket]:
        if self._dropped_anywhere is not None:
            yield self._dropped_anywhere
        for place in places:
            dropped = self._dropped.get(place)
            if dropped is not None:
                yield dropped

    def _remember(self, segment: _Segment) -> None:
        """Remember the newest packet of each room, which is dropped."""
        for namespace, packet in segment.packets:
            for place in _places_of(namespace, packet):
                self._dropped[place] = _trace(packet, self._dropped.pop(place, None))
        while len(self._dropped) > ROOMS_REMEMBERED:
            evicted = self._dropped.pop(next(iter(self._dropped)))
            self._dropped_anywhere = _trace(evicted, self._dropped_anywhere)


class _After:
    """The packets of one node that a client has received."""

    def __init__(self, vector: Vector, node_id: NodeId, since: float, private_after: int | None) -> None:
        self._log_number = vector.get(log_key(node_id))
        self._bus_number = vector.get(node_id)
        self._since = since
        self._private_after = private_after

    def is_missed(self, packet: LoggedPacket) -> bool:
        if packet.bus_number is None and self._private_after is None:
            return False
        return not self.has_received_up_to(packet) and not self._is_received_privately(packet)

    def has_received_up_to(self, packet: LoggedPacket) -> bool:
        """Whether the client has received this packet and all earlier ones."""
        if self._log_number is not None and packet.number <= self._log_number:
            return True
        if packet.bus_number is not None and self._bus_number is not None:
            return packet.bus_number <= self._bus_number
        return self._log_number is None and self._bus_number is None and packet.at < self._since

    def _is_received_privately(self, packet: LoggedPacket) -> bool:
        return packet.bus_number is None and packet.number <= (self._private_after or 0)


def _trace(newer: LoggedPacket, older: LoggedPacket | None) -> LoggedPacket:
    """A packet without its content, to remember that it was dropped."""
    bus_number = newer.bus_number
    if older is not None:
        bus_number = max(bus_number or 0, older.bus_number or 0) or None
        newer = newer if newer.number > older.number else older
    return LoggedPacket(newer.number, newer.at, None, frozenset(), (), bus_number)


def _places_of(namespace: str, packet: LoggedPacket) -> Iterator[_Place]:
    for room in packet.rooms or (None,):
        yield namespace, room
