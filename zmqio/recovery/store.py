"""Everything that one node keeps for the recovery of sessions: its packets, its positions, disconnected sessions.

Pure, except for a clock that is given.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import count
from secrets import randbits
from typing import Protocol

from zmqio.config import Recovery
from zmqio.ids import NODE_TAG_LENGTH, NodeId, tag_of
from zmqio.recovery.departed import DepartedNodes
from zmqio.recovery.missed import MissedPacket
from zmqio.recovery.packet_log import PacketLog
from zmqio.recovery.position import Position, Tables
from zmqio.recovery.recorder import PacketRecorder
from zmqio.recovery.session import RecoverableSession, Returning
from zmqio.recovery.suspended import SuspendedSessions
from zmqio.recovery.vector import Vector, log_key

__all__ = ["ArchivedPackets", "ClaimFailure", "PacketArchive", "RecoveryStore", "SessionUser"]

GIVEN_KEPT_S = 30.0
"""Seconds that a node keeps its own packets for a session that it has given to another node."""
RETURN_MARGIN_S = 15.0
"""Seconds that the return of a client may take: the packets that it missed are kept for so long."""
AGE_MARGIN_S = 1.0
"""Seconds by which the age of a session may be exceeded on its way to another node."""


class ClaimFailure(Enum):
    """Why a session cannot be recovered."""

    SESSION_UNKNOWN = "the session is unknown or its time is over"
    OFFSET_UNKNOWN = "the offset is unknown"
    PACKETS_DROPPED = "the client missed packets that are no longer kept"


class SessionUser(Protocol):
    """The connected client of a session."""

    def end_connection(self) -> None:
        """End its connection, which no longer works; the session is suspended."""

    def snapshot(self) -> RecoverableSession:
        """Return the session with its current rooms and data."""


@dataclass(slots=True)
class PacketArchive:
    """The packets of a node that has stopped.

    Attributes:
        log: the packets.
        bus_number: the node's last bus number.
        complete_since: the packets are those for clients that may have missed packets since this time.
        until: when it expires.
    """

    log: PacketLog
    bus_number: int
    complete_since: float
    until: float


@dataclass(frozen=True, slots=True)
class ArchivedPackets:
    """The packets of a node that has stopped, for one client.

    Attributes:
        node_id: the node.
        packets: those that the client missed; None if some of them are no longer kept.
        log_number: the node's last log number.
        bus_number: the node's last bus number.
    """

    node_id: NodeId
    packets: list[MissedPacket] | None
    log_number: int
    bus_number: int


class RecoveryStore:
    """The state of recovery on one node.

    Args:
        node_id: this node.
        options: limits.
        notice_s: seconds until the server notices at the latest that a client has gone. The packets of this time
            are kept in addition.
        counters: counts sessions by what became of them.
        clock: gives the seconds of any steady clock.

    Attributes:
        node_id: as given.
        tag: the first characters of its id.
        own_key: the key of this node's log numbers in vectors.
        options: as given.
        clock: as given.
        notice_s: as given.
        limit_s: seconds since which a client may have missed packets that are kept.
        keep_s: seconds that packets and offsets are kept.
        log: the packets of this node.
        suspended: the sessions of disconnected clients.
        in_use: private id -> the connected client of a session.
        changed: private ids of sessions that may have changed since their last copy; an ordered set. None unless
            another node keeps copies.
        on_adopt: namespace -> function that is called with each of its sessions that another node handed over.
        archives: the packets of nodes that have stopped.
        departed: the nodes that have left lately.
        on_end: namespace -> function that is called with each of its sessions that this node no longer holds,
            unless a client of this node has claimed it.
    """

    def __init__(
        self,
        node_id: NodeId,
        options: Recovery,
        notice_s: float,
        counters: Counter[str],
        clock: Callable[[], float],
    ) -> None:
        self.node_id = node_id
        self.tag = tag_of(node_id)
        self.own_key = log_key(node_id)
        self.options = options
        self.clock = clock
        self.notice_s = notice_s
        self.limit_s = options.max_disconnection_s + RETURN_MARGIN_S
        self.keep_s = self.limit_s + notice_s
        self._counters = counters
        self._table_ids = count(randbits(30))  # a node with the same tag may start before the offsets expire
        self.log = PacketLog(node_id, options.max_log_bytes, self.keep_s)
        self.in_use: dict[str, SessionUser] = {}
        self.changed: dict[str, None] | None = None
        self.on_end: dict[str, Callable[[RecoverableSession], None]] = {}
        self.suspended = SuspendedSessions(
            options.max_disconnection_s, options.max_sessions, options.max_session_bytes, self._session_ended
        )
        self._recorders: dict[str, PacketRecorder] = {}
        self._given: dict[str, tuple[RecoverableSession, float]] = {}
        self.on_adopt: dict[str, Callable[[RecoverableSession], None]] = {}
        self.archives: dict[NodeId, PacketArchive] = {}
        self.departed = DepartedNodes(self.keep_s)
        self._adopted_tables: dict[tuple[str, str], Tables] = {}
        self._tables_expire: dict[str, float] = {}

    def recorder(self, namespace: str) -> PacketRecorder:
        """Make the recorder of a namespace that opens."""
        position = Position(self.node_id, self.tag, self.log.newest, self.keep_s, self._table_ids)
        recorder = self._recorders[namespace] = PacketRecorder(namespace, self.log, position, self.clock)
        return recorder

    def count_copies(self) -> None:
        """Count a message with copies of another node's sessions."""
        self._counters["session_copies_received"] += 1

    def note_change(self, pid: str) -> None:
        """Note that a session may have changed, so that its copy on another node is renewed."""
        if self.changed is not None:
            self.changed[pid] = None

    def holds(self, pid: str) -> bool:
        """Whether this node holds a session, or has just given it away."""
        return pid in self.in_use or pid in self.suspended or pid in self._given

    def session_of(self, pid: str) -> RecoverableSession | None:
        """The current state of a session that this node holds."""
        user = self.in_use.get(pid)
        return self.suspended.get(pid) if user is None else user.snapshot()

    def suspend(self, session: RecoverableSession) -> None:
        """Keep the session of a client that has disconnected."""
        self.note_change(session.pid)
        self._counters["sessions_suspended"] += 1
        session.absence.begin(self.clock(), self.notice_s)
        self.suspended.add(session, self.clock())

    def claim(self, namespace: str, pid: str, offset: str | None) -> Returning | ClaimFailure:
        """Take the session that a client claims. Its earlier connection, if it is still open, is ended.

        Args:
            namespace: the client's namespace.
            pid: the private id of the session.
            offset: the last offset that the client received; None if it received none.
        """
        user = self.in_use.get(pid)
        if user is not None:
            user.end_connection()
        session = self.suspended.take(pid, namespace, self.clock())
        if session is None:
            return ClaimFailure.SESSION_UNKNOWN
        if offset is None:
            return Returning(session, session.position(None))
        vector = self._decode(session, offset)
        if vector is None:
            self.end(session)
            return ClaimFailure.OFFSET_UNKNOWN
        session.absence.claimed(vector, is_live=session.is_after_return(vector))
        session.claimed = offset, session.position(vector)
        return Returning(session, dict(session.claimed[1]))

    def missed(
        self, session: RecoverableSession, received: Vector, *, private: bool = True
    ) -> list[MissedPacket] | None:
        """The packets of this node that a client missed; None if some of them are no longer kept.

        Args:
            session: the client's session.
            received: the packets that the client has received.
            private: whether this node holds the session, or has just given it away.
        """
        if session.absence.seconds(self.clock()) > self.limit_s:
            return None
        held_from = session.held_from if private else None
        packets = self.log.missed(
            session.namespace,
            session.rooms,
            received,
            session.connected_at - AGE_MARGIN_S,
            held_from,
            self.clock(),
        )
        return None if packets is None else [MissedPacket.of(packet, self.node_id) for packet in packets]

    def give(self, session: RecoverableSession) -> None:
        """Note that a session has been given to another node, which asks for its packets next."""
        self._given[session.pid] = session, self.clock() + GIVEN_KEPT_S

    def take_given(self, pid: str) -> RecoverableSession | None:
        """Return a session that was given away, once."""
        session = self._given.pop(pid, (None, 0.0))[0]
        if session is not None:
            self.end(session)
        return session

    def end(self, session: RecoverableSession) -> None:
        """Note that this node no longer holds a session."""
        self.note_change(session.pid)
        on_end = self.on_end.get(session.namespace)
        if on_end is not None:
            on_end(session)

    def adopt(self, session: RecoverableSession) -> None:
        """Keep a suspended session that another node has handed over."""
        self._counters["sessions_adopted"] += 1
        session.held_from = self.log.newest
        session.absence.begin(self.clock(), self.notice_s)
        self.note_change(session.pid)
        on_adopt = self.on_adopt.get(session.namespace)
        if on_adopt is not None:
            on_adopt(session)
        self.suspended.add(session, self.clock())

    def adopt_tables(self, tag: str, namespace: str) -> Tables:
        """The tables of another node's offsets; add to them. They stay until `expire_tables`."""
        self._tables_expire.pop(tag, None)
        return self._adopted_tables.setdefault((tag, namespace), Tables(tag))

    def expire_tables(self, tag: str) -> None:
        """Drop the tables of a node that has left once its sessions have expired."""
        if any(key[0] == tag for key in self._adopted_tables):
            self._tables_expire[tag] = self.clock() + self.keep_s

    def renew_tables(self) -> None:
        """Make new tables, and use those of the last call; see `Position.renew_table`."""
        for recorder in self._recorders.values():
            recorder.renew_table()

    def stop_copying(self) -> None:
        """No other node keeps copies from now on."""
        self.changed = None
        for recorder in self._recorders.values():
            recorder.stop_copying()

    def tables(self) -> Iterator[tuple[str, str, Tables]]:
        """The tables of this node's offsets, and of those that it adopted: (tag, namespace, tables)."""
        for namespace, recorder in self._recorders.items():
            yield self.tag, namespace, recorder.tables
        for (tag, namespace), tables in self._adopted_tables.items():
            yield tag, namespace, tables

    def archive(self, node_id: NodeId) -> PacketArchive:
        """Make the archive of a node that stops."""
        log = PacketLog(node_id, self.options.max_log_bytes, self.keep_s)
        now = self.clock()
        return PacketArchive(log, 0, now - self.limit_s, now + self.keep_s)

    def missed_of_archives(self, session: RecoverableSession, received: Vector) -> Iterator[ArchivedPackets]:
        """The packets that a client missed of nodes that have stopped."""
        since, now = session.connected_at - AGE_MARGIN_S, self.clock()
        for node_id, archive in self.archives.items():
            is_complete = session.absence.seconds(now) <= now - archive.complete_since
            found = (
                archive.log.missed(session.namespace, session.rooms, received, since, None, now)
                if is_complete
                else None
            )
            packets = None if found is None else [MissedPacket.of(packet, node_id) for packet in found]
            yield ArchivedPackets(node_id, packets, archive.log.newest, archive.bus_number)

    def expire(self) -> None:
        """Drop what is too old; call it every few seconds."""
        now = self.clock()
        self.log.expire(now)
        self.suspended.expire(now)
        self.departed.expire(now)
        while self._given and next(iter(self._given.values()))[1] <= now:
            self.take_given(next(iter(self._given)))
        for node_id in [node_id for node_id, archive in self.archives.items() if archive.until <= now]:
            del self.archives[node_id]
        for tag in [tag for tag, until in self._tables_expire.items() if until <= now]:
            del self._tables_expire[tag]
            for key in [key for key in self._adopted_tables if key[0] == tag]:
                del self._adopted_tables[key]

    def _decode(self, session: RecoverableSession, offset: str) -> Vector | None:
        if session.claimed is not None and session.claimed[0] == offset:
            return session.claimed[1]
        namespace, recorder = session.namespace, self._recorders.get(session.namespace)
        vector = None if recorder is None else recorder.tables.decode(offset)
        if vector is None:
            tables = self._adopted_tables.get((offset[:NODE_TAG_LENGTH], namespace))
            vector = None if tables is None else tables.decode(offset)
        return vector

    def _session_ended(self, session: RecoverableSession, why: str) -> None:
        if why == "expired":
            self._counters["suspended_sessions_expired"] += 1
        elif why == "dropped":
            self._counters["suspended_sessions_dropped"] += 1
        if why != "taken":
            self.end(session)
