"""The rows in which nodes pass sessions and missed packets to each other. Pure.

Ages stand for times, because each node has its own clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zmqio.exceptions import EnvelopeError, PacketError
from zmqio.ids import NodeId, Sid
from zmqio.protocol.values import pack_values
from zmqio.recovery.missed import MissedPacket
from zmqio.recovery.session import RecoverableSession, Returning

__all__ = ["SenderRow", "pack_packet", "pack_returning", "read_node", "read_packet", "read_returning", "sendable"]


@dataclass(frozen=True, slots=True)
class SenderRow:
    """What a node says about itself in its answer.

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

    def pack(self) -> bytes:
        """Pack it as the first row of an answer."""
        return pack_values([self.node_id, self.complete, self.log_number, self.bus_number])


def read_node(row: Sequence[Any]) -> SenderRow:
    """Read a row of `SenderRow.pack`."""
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
    node_id, number, bus_number, age_s, frames, origin = row
    _check(type(node_id) is str and type(number) is int and type(frames) is list and type(origin) is str)
    _check(bus_number is None or type(bus_number) is int)
    _check(bool(frames) and all(type(frame) in (str, bytes) for frame in frames))
    return MissedPacket(NodeId(node_id), number, bus_number, now - float(age_s), tuple(frames), origin)


def pack_returning(returning: Returning, now: float) -> bytes:
    """Pack the session of a client that returns to another node."""
    session = returning.session
    claimed = None if session.claimed is None else [session.claimed[0], dict(session.claimed[1])]
    return pack_values(
        [
            session.pid,
            session.namespace,
            session.sid,
            list(session.rooms),
            sendable(session.data),
            max(0.0, now - session.connected_at),
            dict(session.start),
            claimed,
            returning.received,
        ]
    )


def read_returning(row: Sequence[Any], now: float, held_from: int) -> Returning:
    """Read a row of `pack_returning`.

    Args:
        row: the row.
        now: the time.
        held_from: the newest log number of this node, which holds the session from now on.
    """
    pid, namespace, sid, rooms, data, age_s, start, claimed, received = row
    _check(all(type(text) is str for text in (pid, namespace, sid)) and type(rooms) is list)
    _check(type(data) is dict and type(start) is dict and type(received) is dict)
    session = RecoverableSession(
        pid, namespace, Sid(sid), tuple(rooms), data, now - float(age_s), start, held_from
    )
    if claimed is not None:
        offset, vector = claimed
        session.claimed = offset, vector
    return Returning(session, received)


def sendable(data: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `socket.data` that another node can receive: JSON-like values and bytes."""
    try:
        pack_values(dict(data))
    except PacketError:
        return {key: value for key, value in data.items() if _is_sendable(key, value)}
    return dict(data)


def _is_sendable(key: Any, value: Any) -> bool:
    try:
        pack_values({key: value})
    except PacketError:
        return False
    return True


def _check(valid: bool) -> None:
    if not valid:
        raise EnvelopeError("a row about a session is malformed")
