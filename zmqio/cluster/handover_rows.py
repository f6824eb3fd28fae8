"""The rows in which a node that stops hands over its sessions and packets. Pure.

The first value of a row names its kind. The packets of a node end with a row of the kind `END`, which has their
number: an archive that lacks some of them must not be taken for a complete one.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from zmqio.cluster.missed_rows import pack_packet, read_packet
from zmqio.cluster.session_rows import sendable
from zmqio.exceptions import EnvelopeError
from zmqio.ids import NodeId, Sid
from zmqio.protocol.values import pack_values, unpack_list
from zmqio.recovery.absence import Absence
from zmqio.recovery.missed import MissedPacket
from zmqio.recovery.packet_log import LoggedPacket, PacketLog
from zmqio.recovery.position import Table
from zmqio.recovery.session import RecoverableSession
from zmqio.recovery.store import RecoveryStore

__all__ = ["HandoverReader", "pack_log", "pack_session", "pack_tables"]

SESSION, TABLE, PACKET, END = "session", "table", "packet", "end"


def pack_session(session: RecoverableSession, inherited: Sequence[MissedPacket], now: float) -> bytes:
    """Pack a suspended session, with the packets that no other node has."""
    claimed = None if session.claimed is None else [session.claimed[0], dict(session.claimed[1])]
    return pack_values(
        [
            SESSION,
            session.pid,
            session.namespace,
            session.sid,
            list(session.rooms),
            sendable(session.data),
            max(0.0, now - session.connected_at),
            dict(session.start),
            claimed,
            [dict(session.floor), session.floor_key, session.floor_from],
            [unpack_list(pack_packet(packet, now)) for packet in inherited],
            session.absence.pack(now),
        ]
    )


def pack_tables(store: RecoveryStore, namespaces: Collection[str], since: float = 0.0) -> Iterator[bytes]:
    """Pack the tables, made since a time, that are necessary to decode the offsets of some namespaces."""
    now = store.clock()
    for tag, namespace, tables in store.tables():
        if namespace not in namespaces or tables.newest_at < since:
            continue
        for table_id, table in tables.by_id.items():
            if table.at < since:
                continue
            yield pack_values(
                [
                    TABLE,
                    tag,
                    namespace,
                    table_id,
                    tables.oldest,
                    now - table.at,
                    list(table.keys),
                    list(table.numbers),
                ]
            )


def pack_log(log: PacketLog, bus_number: int, complete_since: float, now: float, most_bytes: int) -> list[bytes]:
    """Pack the packets of a node that clients may have missed.

    Args:
        log: the packets.
        bus_number: the node's last bus number.
        complete_since: as in `PacketArchive`.
        now: the time.
        most_bytes: beyond that, the oldest packets are left out.
    """
    rows: list[bytes] = []
    dropped = log.newest_dropped(now)
    for namespace, packet in log.packets():
        if packet.bus_number is None:
            continue
        row = _pack_logged(log.node_id, namespace, packet, now)
        most_bytes -= len(row)
        if most_bytes < 0:
            dropped = packet
            break
        rows.append(row)
    rows.reverse()
    trace = None if dropped is None else [dropped.number, dropped.bus_number, max(0.0, now - dropped.at)]
    complete_s = max(0.0, now - complete_since)
    return [*rows, pack_values([END, log.node_id, log.newest, bus_number, trace, len(rows), complete_s])]


class HandoverReader:
    """Reads the rows of other nodes into the store of the node that keeps them.

    Args:
        store: the store.
        on_session: called with each session.
    """

    def __init__(self, store: RecoveryStore, on_session: Callable[[RecoverableSession], None]) -> None:
        self._store = store
        self._on_session = on_session
        self._logs: dict[NodeId, PacketLog] = {}
        self._read: Counter[NodeId] = Counter()

    def read(self, rows: bytes) -> None:
        """Read some rows.

        Raises:
            EnvelopeError: a row is malformed.
        """
        readers = {SESSION: self._session, TABLE: self._table, PACKET: self._packet, END: self._end}
        for row in unpack_list(rows):
            try:
                readers[row[0]](*row[1:])
            except (TypeError, ValueError, KeyError, IndexError) as error:
                raise EnvelopeError(f"a row of a handover is malformed ({type(error).__name__})") from error

    def _session(self, *row: Any) -> None:
        pid, namespace, sid, rooms, data, age_s, start, claimed, floor, inherited, absence = row
        now = self._store.clock()
        session = RecoverableSession(pid, namespace, Sid(sid), tuple(rooms), data, now - age_s, start, 0)
        session.claimed = None if claimed is None else (claimed[0], claimed[1])
        session.floor, session.floor_key, session.floor_from = floor
        session.inherited = tuple(read_packet(packet, now) for packet in inherited)
        session.absence = Absence.read(absence, now)
        self._on_session(session)

    def _table(self, *row: Any) -> None:
        tag, namespace, table_id, oldest, age_s, keys, numbers = row
        tables, now = self._store.adopt_tables(tag, namespace), self._store.clock()
        if table_id not in tables.by_id:
            tables.add(table_id, Table(now - age_s, tuple(keys), array("q", numbers)), now, self._store.keep_s)
        tables.oldest = oldest

    def _packet(self, *row: Any) -> None:
        node_id, namespace, number, bus_number, age_s, rooms, except_, frames = row
        log = self._logs.get(node_id)
        if log is None:
            log = self._logs[node_id] = self._store.archive(node_id).log
        at = self._store.clock() - age_s
        members = None if rooms is None else frozenset(rooms)
        self._read[node_id] += 1
        log.add(namespace, LoggedPacket(number, at, members, frozenset(except_), tuple(frames), bus_number))

    def _end(self, *row: Any) -> None:
        node_id, newest, bus_number, dropped, count, complete_s = row
        if self._read.pop(node_id, 0) != count:
            self._logs.pop(node_id, None)  # a message was lost, or another node got it: without an archive, a gap
            return
        archive = self._store.archive(node_id)
        archive.log = self._logs.pop(node_id, archive.log)
        archive.log.newest, archive.bus_number = newest, bus_number
        archive.complete_since = self._store.clock() - complete_s
        if dropped is not None:
            number, dropped_bus_number, age_s = dropped
            at = self._store.clock() - age_s
            archive.log.mark_dropped(LoggedPacket(number, at, None, frozenset(), (), dropped_bus_number))
        self._store.archives[node_id] = archive


def _pack_logged(node_id: NodeId, namespace: str, packet: LoggedPacket, now: float) -> bytes:
    rooms = None if packet.rooms is None else list(packet.rooms)
    return pack_values(
        [
            PACKET,
            node_id,
            namespace,
            packet.number,
            packet.bus_number,
            max(0.0, now - packet.at),
            rooms,
            list(packet.except_),
            list(packet.frames),
        ]
    )
