"""The messages between nodes that move the session of a returning client to the node that it reached.

They are part of `zmqio.protocol.messages.Message`; the same rules apply. The answers are `Response` messages.
"""

from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "MissedPacketsRequest",
    "RecoveryMessage",
    "RecoveryRequest",
    "SessionCopies",
    "SessionHandover",
    "SessionRequest",
]


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """Request the session of a client that has reached the sender. Sent to all nodes.

    The node that holds the session gives it away, and answers with one row. All others answer with none.

    Attributes:
        request_id: unique per sender; the answer carries it.
        namespace: the client's namespace.
        pid: the private id of the session.
        offset: the last offset that the client received; "" if it received none.
    """

    request_id: int
    namespace: str
    pid: str
    offset: str


@dataclass(frozen=True, slots=True)
class MissedPacketsRequest:
    """Request the packets that a client missed. Sent to all nodes.

    Each node answers with a row about itself, and one for each packet that it sent to the client's rooms.

    Attributes:
        request_id: unique per sender; the answer carries it.
        namespace: the client's namespace.
        pid: the private id of the session; the node that gave it away adds the packets that no other node has.
        rooms: the client's rooms.
        vector: what the client has received, packed by `pack_values`.
        age_s: seconds since the client first connected.
    """

    request_id: int
    namespace: str
    pid: str
    rooms: tuple[str, ...]
    vector: bytes
    age_s: float


@dataclass(frozen=True, slots=True)
class SessionHandover:
    """Sessions and packets of a node that stops, sent to the inbox of the node that keeps them from now on.

    Attributes:
        rows: a list of rows, packed by `pack_values`; see `zmqio.cluster.handover_rows`.
    """

    rows: bytes


@dataclass(frozen=True, slots=True)
class SessionCopies:
    """Copies of sessions, sent to the inbox of the node that continues them if the sender dies.

    Attributes:
        replace: whether the copies that the receiver has of the sender are dropped first.
        gone: private ids of sessions that have ended, or moved to another node.
        rows: rows of sessions and tables, as in `SessionHandover`.
    """

    replace: bool
    gone: tuple[str, ...]
    rows: bytes


RecoveryMessage: TypeAlias = SessionRequest | MissedPacketsRequest | SessionHandover | SessionCopies
RecoveryRequest: TypeAlias = SessionRequest | MissedPacketsRequest
