"""The messages between nodes that move the session of a returning client to the node that it reached.

They are part of `zmqio.protocol.messages.Message`; the same rules apply. The answers are `Response` messages.
"""

from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "MissedPacketsRequest",
    "RecoveryMessage",
    "SessionCopies",
    "SessionHandover",
    "SessionRequest",
]


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """Request the sessions of clients that have reached the sender. Sent to all nodes.

    The node that holds a session gives it away. Each node answers with one row for each session that it knows
    something about; the first value is the claim's index.

    Attributes:
        request_id: unique per sender; the answer carries it.
        claims: a list of rows, packed by `pack_values`; see `zmqio.cluster.session_rows.pack_claim`.
    """

    request_id: int
    claims: bytes


@dataclass(frozen=True, slots=True)
class MissedPacketsRequest:
    """Request the packets that clients missed. Sent to all nodes.

    Each node answers with one row about itself for each client, one row for each packet that it sent to the
    clients' rooms, and rows that name the packets of a client.

    Attributes:
        request_id: unique per sender; the answer carries it.
        clients: a list of rows, packed by `pack_values`; see `zmqio.cluster.missed_rows.pack_client`.
    """

    request_id: int
    clients: bytes


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
