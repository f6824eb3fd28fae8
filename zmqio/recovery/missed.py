"""The packets that a client missed, from several nodes, as one sequence with an offset for each. Pure.

The packets of one node stay in their order. Those of different nodes are merged by their times, which are not
exact.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from itertools import chain

from zmqio.ids import NodeId
from zmqio.protocol.packet import Frames
from zmqio.recovery.packet_log import LoggedPacket
from zmqio.recovery.vector import Vector, latest, log_key

__all__ = ["MissedPacket", "after_all", "in_order", "with_offsets"]


@dataclass(frozen=True, slots=True)
class MissedPacket:
    """A packet that a client missed.

    Attributes:
        node_id: the node that sent it, or received it from an outside service.
        number: its log number on that node; None if it arrived as a message of that node.
        bus_number: its bus number; None if no message carried it to other nodes.
        at: when it was sent, by this node's clock.
        frames: the encoded packet, without an offset.
        origin: names a packet of an outside service; "" for others.
    """

    node_id: NodeId
    number: int | None
    bus_number: int | None
    at: float
    frames: Frames
    origin: str = ""

    @classmethod
    def of(cls, packet: LoggedPacket, node_id: NodeId) -> "MissedPacket":
        """Make it from a packet in the log of a node."""
        return cls(node_id, packet.number, packet.bus_number, packet.at, packet.frames, packet.origin)

    @property
    def is_private(self) -> bool:
        """Whether only the node that held the session has it."""
        return self.bus_number is None

    @property
    def numbers(self) -> Vector:
        """Its numbers, as entries of a vector."""
        numbers = {} if self.number is None else {log_key(self.node_id): self.number}
        return numbers if self.bus_number is None else {**numbers, self.node_id: self.bus_number}


def in_order(packets: Iterable[MissedPacket], arrived: Iterable[MissedPacket]) -> list[list[MissedPacket]]:
    """Sort packets into one list for each node.

    Args:
        packets: packets with log numbers, in any order. Duplicates are dropped.
        arrived: packets that arrived as messages afterwards, in order.
    """
    by_node: dict[NodeId, dict[int | None, MissedPacket]] = {}
    for packet in packets:
        by_node.setdefault(packet.node_id, {})[packet.number] = packet
    lists = {node_id: [found[number] for number in sorted(found)] for node_id, found in by_node.items()}  # type: ignore[type-var]
    for packet in arrived:
        lists.setdefault(packet.node_id, []).append(packet)
    return list(lists.values())


def after_all(received: Vector, by_node: Iterable[Iterable[MissedPacket]]) -> dict[str, int] | None:
    """The vector of a client that has received `with_offsets` completely; None if that is nothing."""
    vector, packets = dict(received), list(chain.from_iterable(by_node))
    for packet in packets:
        for key, number in packet.numbers.items():
            vector[key] = max(number, vector.get(key, -1))
    return vector if packets else None


def with_offsets(
    received: Vector,
    by_node: Iterable[Iterable[MissedPacket]],
    append: Callable[[Frames, Mapping[str, int]], Frames],
) -> Iterator[Frames]:
    """Yield the packets in the order in which to send them.

    Args:
        received: the vector of what the client has received before.
        by_node: the packets of each node, in order.
        append: appends a vector to a packet as its offset.
    """
    for _, packet in merge(*map(_with_rising_times, by_node), key=lambda entry: entry[0]):
        received = latest(received, packet.numbers)
        yield append(packet.frames, received)


def _with_rising_times(packets: Iterable[MissedPacket]) -> Iterator[tuple[float, MissedPacket]]:
    """Yield packets with times that never decrease, so that the merge keeps their order."""
    at = float("-inf")
    for packet in packets:
        at = max(at, packet.at)
        yield at, packet
