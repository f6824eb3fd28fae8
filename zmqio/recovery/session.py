"""A session that can be recovered: the state that a server keeps of a disconnected client. Pure."""

from dataclasses import dataclass, field
from typing import Any

from zmqio.ids import Sid
from zmqio.recovery.absence import Absence
from zmqio.recovery.missed import MissedPacket
from zmqio.recovery.vector import Vector, latest

__all__ = ["RecoverableSession", "Returning"]

SESSION_BYTES = 500
"""Counted for each session beside its rooms and data (measured: 890 bytes with two rooms and two values)."""
VALUE_BYTES = 50
"""Counted for each room, for each value in the data, and for each packet beside its frames."""


@dataclass(slots=True)
class RecoverableSession:
    """The state of one client in one namespace.

    Attributes:
        pid: the private id, which proves that a client is the owner of the session.
        namespace: the namespace.
        sid: the id of the socket.
        rooms: its rooms.
        data: its `data`.
        connected_at: when the client first connected.
        start: the position at which it first connected: the client missed nothing before.
        held_from: the log number at which this node began to hold the session.
        floor: the packets that the client has received if its offset was made on the node of its last recovery
            afterwards. A vector, because such an offset does not name packets that other nodes sent before the
            client came.
        floor_key: the key of that node's log numbers; "" if the client was never recovered.
        floor_from: the log number that the node had then.
        claimed: the offset with which the client last returned, and its vector. The client may return with it
            again, and perhaps only another node could decode it.
        inherited: packets of the nodes that held the session before, which only they had.
        absence: since when the client may have missed packets.
        retained: whether this node subscribes to the rooms for the session, although its client is away.
    """

    pid: str = field(repr=False)
    namespace: str
    sid: Sid
    rooms: tuple[str, ...]
    data: dict[str, Any]
    connected_at: float
    start: Vector
    held_from: int
    floor: Vector = field(default_factory=dict)
    floor_key: str = ""
    floor_from: int = 0
    claimed: tuple[str, Vector] | None = None
    inherited: tuple[MissedPacket, ...] = ()
    absence: Absence = field(default_factory=Absence)
    retained: bool = False

    def position(self, offset: Vector | None) -> dict[str, int]:
        """The packets that the client has received.

        Args:
            offset: the decoded offset; None if the client never received an event.
        """
        if offset is None:
            return dict(self.start)
        if self.is_after_return(offset):
            offset = latest(offset, self.floor)
        return latest(offset, self.start)

    def is_after_return(self, offset: Vector) -> bool:
        """Whether a decoded offset was made after the client's last return, behind the packets that it missed."""
        return bool(self.floor_key) and offset.get(self.floor_key, 0) >= self.floor_from

    @property
    def size_bytes(self) -> int:
        """The memory of the session, about."""
        packets = sum(VALUE_BYTES + sum(map(len, packet.frames)) for packet in self.inherited)
        rooms = sum(VALUE_BYTES + len(room) for room in self.rooms)
        return SESSION_BYTES + rooms + _size_of(self.data) + packets


@dataclass(slots=True)
class Returning:
    """A client that returns to its session.

    Attributes:
        session: the session.
        received: the vector of what the client has received.
        resumed: whether the client has its session back.
    """

    session: RecoverableSession
    received: dict[str, int]
    resumed: bool = False


def _size_of(value: Any, depth: int = 8) -> int:
    if isinstance(value, str | bytes | bytearray):
        return VALUE_BYTES + len(value)
    if depth and isinstance(value, dict):
        return VALUE_BYTES + sum(_size_of(key, 0) + _size_of(item, depth - 1) for key, item in value.items())
    if depth and isinstance(value, list | tuple | set | frozenset):
        return VALUE_BYTES + sum(_size_of(item, depth - 1) for item in value)
    return VALUE_BYTES
