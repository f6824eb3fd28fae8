"""The packets that a client missed, from several nodes, as one sequence with an offset for each. Pure.

The packets of one node stay in their order. Those of different nodes are merged by their times, which are not
exact.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from operator import attrgetter

from zmqio.protocol.packet import Frames
from zmqio.recovery.vector import Vector, latest

__all__ = ["MissedPacket", "with_offsets"]


@dataclass(frozen=True, slots=True)
class MissedPacket:
    """A packet that a client missed.

    Attributes:
        at: when it was sent, by this node's clock.
        frames: the encoded packet, without an offset.
        numbers: its numbers, as entries of a vector.
    """

    at: float
    frames: Frames
    numbers: Vector


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
    for packet in merge(*map(_in_order, by_node), key=attrgetter("at")):
        received = latest(received, packet.numbers)
        yield append(packet.frames, received)


def _in_order(packets: Iterable[MissedPacket]) -> Iterator[MissedPacket]:
    """Yield packets with times that never decrease, so that the merge keeps their order."""
    at = float("-inf")
    for packet in packets:
        at = max(at, packet.at)
        yield MissedPacket(at, packet.frames, packet.numbers)
