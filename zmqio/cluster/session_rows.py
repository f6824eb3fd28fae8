"""The rows in which nodes claim sessions, and give them to each other. Pure.

Ages stand for times, because each node has its own clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zmqio.exceptions import EnvelopeError, PacketError
from zmqio.ids import Sid
from zmqio.protocol.values import pack_values, unpack_list
from zmqio.recovery.absence import Absence
from zmqio.recovery.session import RecoverableSession, Returning

__all__ = [
    "COPIED",
    "FOUND",
    "MOVING",
    "OFFSET_UNKNOWN",
    "ClaimRow",
    "pack_claim",
    "pack_returning",
    "read_claims",
    "read_returning",
    "sendable",
]

FOUND, OFFSET_UNKNOWN, MOVING, COPIED = "found", "offset unknown", "moving", "copied"
"""The answers to a claim: the session, which the node gives away; the offset is unknown; the session is on its way
to another node; the node has a copy of the session of another node, whose id follows."""


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A client's claim to its session.

    Attributes:
        namespace: the client's namespace.
        pid: the private id of the session.
        offset: the last offset that the client received; None if it received none.
    """

    namespace: str
    pid: str = field(repr=False)
    offset: str | None


def pack_claim(claim: ClaimRow) -> bytes:
    """Pack a claim."""
    return pack_values([claim.namespace, claim.pid, claim.offset])


def read_claims(packed: bytes) -> list[ClaimRow]:
    """Read the rows of `pack_claim`."""
    rows = unpack_list(packed)
    for row in rows:
        _check(type(row) is list and len(row) == 3 and all(type(text) is str for text in row[:2]))
        _check(row[2] is None or type(row[2]) is str)
    return [ClaimRow(*row) for row in rows]


def pack_returning(index: int, returning: Returning, now: float) -> bytes:
    """Pack the session of a client that returns to another node; `index` is that of the claim."""
    session = returning.session
    claimed = None if session.claimed is None else [session.claimed[0], dict(session.claimed[1])]
    return pack_values(
        [
            index,
            FOUND,
            session.pid,
            session.namespace,
            session.sid,
            list(session.rooms),
            sendable(session.data),
            max(0.0, now - session.connected_at),
            dict(session.start),
            claimed,
            returning.received,
            session.absence.pack(now),
        ]
    )


def read_returning(row: Sequence[Any], now: float, held_from: int) -> Returning:
    """Read a row of `pack_returning`.

    Args:
        row: the row, without the index.
        now: the time.
        held_from: the newest log number of this node, which holds the session from now on.
    """
    _check(len(row) == 11)
    _, pid, namespace, sid, rooms, data, age_s, start, claimed, received, absence = row
    _check(all(type(text) is str for text in (pid, namespace, sid)) and type(rooms) is list)
    _check(type(data) is dict and type(start) is dict and type(received) is dict)
    session = RecoverableSession(
        pid, namespace, Sid(sid), tuple(rooms), data, now - float(age_s), start, held_from
    )
    session.absence = Absence.read(absence, now)
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
