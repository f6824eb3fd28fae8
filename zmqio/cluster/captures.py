"""Packets of other nodes that arrive for a client while its missed packets are fetched. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, field

from zmqio.ids import NodeId
from zmqio.protocol.messages import BroadcastMessage
from zmqio.recovery.missed import MissedPacket

__all__ = ["Capture"]


MAX_CAPTURED_BYTES = 4 << 20
"""Most bytes of packets that are kept for one client, which waits for seconds at most."""


@dataclass(slots=True, eq=False)
class Capture:
    """The packets for the members of some rooms, up to `MAX_CAPTURED_BYTES`.

    Attributes:
        rooms: the rooms of the client.
        packets: the packets, in order of arrival.
        dropped: the nodes of which packets were dropped beyond the limit: gaps of the client.
    """

    rooms: frozenset[str]
    packets: list[MissedPacket] = field(default_factory=list)
    dropped: set[NodeId] = field(default_factory=set)
    _bytes: int = 0

    def add(self, message: BroadcastMessage, sender: NodeId, number: int, now: float) -> None:
        """Keep a packet, unless it is volatile or not for the client."""
        if message.volatile or not self._concerns(message.rooms, message.except_):
            return
        self._bytes += sum(map(len, message.frames))
        if self._bytes > MAX_CAPTURED_BYTES:
            self.dropped.add(sender)
        else:
            self.packets.append(MissedPacket(sender, None, number, now, message.frames))

    def after(self, upto: dict[str, int]) -> list[MissedPacket]:
        """The packets with higher bus numbers than those of a vector."""
        return [packet for packet in self.packets if (packet.bus_number or 0) > upto.get(packet.node_id, 0)]

    def _concerns(self, rooms: Collection[str], except_: Collection[str]) -> bool:
        return (not rooms or not self.rooms.isdisjoint(rooms)) and self.rooms.isdisjoint(except_)
