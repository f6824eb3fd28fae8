"""The rows in which nodes request and send the packets that clients missed. Pure.

Ages stand for times, because each node has its own clock. Many clients miss the same packets: each packet is sent
once, and each client names those that it missed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from zmqio.exceptions import EnvelopeError
from zmqio.ids import NodeId
from zmqio.protocol.values import pack_values, unpack_list
from zmqio.recovery.departed import DepartedNode
from zmqio.recovery.missed import MissedPacket
from zmqio.recovery.session import Returning

__all__ = [
    "ClientRow",
    "PacketKey",
    "PacketReferences",
    "SenderRow",
    "group_by_node",
    "pack_client",
    "pack_departed",
    "pack_packet",
    "read_clients",
    "read_departed",
    "read_packet",
    "read_row",
]

PacketKey = tuple[NodeId, int]
"""Identifies a packet: (node that sent it, its log number)."""


@dataclass(frozen=True, slots=True)
class ClientRow:
    """A client that returns, as the nodes see it that do not have its session.

    Attributes:
        namespace: its namespace.
        pid: the private id of its session.
        rooms: its rooms.
        vector: the packets that it has received.
        age_s: seconds since it first connected.
        away_s: seconds since which it may have missed packets.
    """

    namespace: str
    pid: str = field(repr=False)
    rooms: tuple[str, ...]
    vector: dict[str, int]
    age_s: float
    away_s: float


@dataclass(frozen=True, slots=True)
class SenderRow:
    """One part of a node's answer about one client: about the node itself, or about a node that has stopped.

    Attributes:
        node_id: the node.
        complete: whether it still keeps all packets that the client missed.
        log_number: its newest log number.
        bus_number: its newest bus number.
    """

    node_id: NodeId
    complete: bool
    log_number: int
    bus_number: int

    def pack(self, index: int) -> bytes:
        """Pack it as a row about the client with this index."""
        return pack_values([index, self.node_id, self.complete, self.log_number, self.bus_number])


@dataclass(frozen=True, slots=True)
class PacketReferences:
    """Packets that a client missed.

    Attributes:
        node_id: the node that sent them.
        numbers: their log numbers.
    """

    node_id: NodeId
    numbers: Sequence[int]

    def pack(self, index: int) -> bytes:
        """Pack it as a row about the client with this index."""
        return pack_values([index, self.node_id, list(self.numbers)])


def pack_client(returning: Returning, now: float) -> bytes:
    """Pack the request for the packets of one client."""
    session, age_s = returning.session, max(0.0, now - returning.session.connected_at)
    rooms, away_s = list(session.rooms), session.absence.seconds(now)
    return pack_values([session.namespace, session.pid, rooms, dict(returning.received), age_s, away_s])


def read_clients(packed: bytes) -> Iterator[ClientRow]:
    """Read the rows of `pack_client`."""
    for row in unpack_list(packed):
        _check(type(row) is list and len(row) == 6)
        namespace, pid, rooms, vector, age_s, away_s = row
        _check(type(namespace) is str and type(pid) is str and type(rooms) is list and type(vector) is dict)
        _check(all(type(room) is str for room in rooms))
        _check(type(age_s) in (int, float) and type(away_s) in (int, float))
        yield ClientRow(namespace, pid, tuple(rooms), vector, age_s, away_s)


def pack_departed(node_id: NodeId, departed: Iterable[DepartedNode], now: float) -> bytes:
    """Pack the nodes that have left, as the node `node_id` knows them. The row is about all clients."""
    return pack_values(
        [None, node_id, [[node.node_id, node.number, max(0.0, now - node.at)] for node in departed]]
    )


def read_departed(row: Sequence[Any], now: float) -> tuple[NodeId, list[DepartedNode]]:
    """Read a row of `pack_departed`."""
    _check(len(row) == 3)
    _, node_id, departed = row
    _check(type(node_id) is str and type(departed) is list)
    for each in departed:
        _check(type(each) is list and len(each) == 3 and type(each[0]) is str and type(each[1]) is int)
    return NodeId(node_id), [
        DepartedNode(NodeId(each), number, now - float(age_s)) for each, number, age_s in departed
    ]


def group_by_node(packets: Iterable[MissedPacket]) -> list[PacketReferences]:
    """Refer to packets, each of which has a log number."""
    numbers: dict[NodeId, list[int]] = {}
    for packet in packets:
        if packet.number is not None:
            numbers.setdefault(packet.node_id, []).append(packet.number)
    return [PacketReferences(node_id, found) for node_id, found in numbers.items()]


def read_row(row: Sequence[Any]) -> SenderRow | PacketReferences:
    """Read a row about a client, without its index."""
    if len(row) == 2:
        node_id, numbers = row
        _check(type(node_id) is str and type(numbers) is list and all(type(number) is int for number in numbers))
        return PacketReferences(NodeId(node_id), numbers)
    _check(len(row) == 4)
    node_id, complete, log_number, bus_number = row
    _check(type(node_id) is str and type(log_number) is int and type(bus_number) is int)
    return SenderRow(NodeId(node_id), bool(complete), log_number, bus_number)


def pack_packet(packet: MissedPacket, now: float) -> bytes:
    """Pack one packet."""
    age_s = max(0.0, now - packet.at)
    values = [packet.node_id, packet.number, packet.bus_number, age_s, list(packet.frames), packet.origin]
    return pack_values(values)


def read_packet(row: Sequence[Any], now: float) -> MissedPacket:
    """Read a row of `pack_packet`."""
    _check(len(row) == 6)
    node_id, number, bus_number, age_s, frames, origin = row
    _check(type(node_id) is str and type(number) is int and type(frames) is list and type(origin) is str)
    _check(bus_number is None or type(bus_number) is int)
    _check(bool(frames) and all(type(frame) in (str, bytes) for frame in frames))
    return MissedPacket(NodeId(node_id), number, bus_number, now - float(age_s), tuple(frames), origin)


def _check(valid: bool) -> None:
    if not valid:
        raise EnvelopeError("a row about missed packets is malformed")
