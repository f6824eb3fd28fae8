"""Copies of the sessions of each node on the next one, for the case that the node dies.

Once per second a node sends what has changed: sessions whose rooms or data may have changed, and the tables that
decode new offsets.
"""

import asyncio
from collections.abc import Collection, Iterator

from zmqio.cluster.handover_rows import HandoverReader, pack_session, pack_tables
from zmqio.cluster.node import Node
from zmqio.cluster.requests.rows import pack_rows
from zmqio.ids import NodeId
from zmqio.protocol.recovery_messages import SessionCopies
from zmqio.protocol.values import pack_values
from zmqio.recovery.session import RecoverableSession
from zmqio.recovery.store import RecoveryStore
from zmqio.timer_grid import next_on_grid

__all__ = ["CopySender", "KeptCopies", "choose_keeper"]

INTERVAL_S = 1.0
SLICE_SESSIONS = 200
"""Sessions packed in one turn of the event loop: about 4 ms."""
MAX_COPY_BYTES = 64 << 10
"""Largest copy of one session. Larger sessions have none."""
NO_ROWS = pack_values([])


def choose_keeper(node_id: NodeId, keepers: Collection[NodeId]) -> NodeId | None:
    """The node whose id follows that of a node; None if there is none.

    Args:
        node_id: the node whose sessions are to be kept.
        keepers: the other live nodes that keep sessions.
    """
    following = sorted(keepers)
    return next((peer for peer in following if peer > node_id), following[0] if following else None)


class KeptCopies:
    """The copies that this node keeps for others.

    Args:
        store: the store of this node.
    """

    def __init__(self, store: RecoveryStore) -> None:
        self._store = store
        self._by_owner: dict[NodeId, dict[str, RecoverableSession]] = {}
        self._owners: dict[str, NodeId] = {}

    def owner_of(self, pid: str) -> NodeId | None:
        """The owner of a session of which this node keeps a copy; None if it keeps none."""
        return self._owners.get(pid)

    def update(self, owner: NodeId, message: SessionCopies) -> None:
        """Process a message of an owner; beyond `max_sessions` copies of all owners, further ones are dropped."""
        self._store.count_copies()
        if message.replace:
            list(self.take(owner))
        copies = self._by_owner.setdefault(owner, {})
        for pid in message.gone:
            if self._owners.get(pid) == owner:
                self.discard(pid)

        def keep(session: RecoverableSession) -> None:
            if session.pid in self._owners:
                self.discard(session.pid)
            if len(self._owners) < self._store.options.max_sessions:
                copies[session.pid], self._owners[session.pid] = session, owner

        HandoverReader(self._store, keep).read(message.rows)

    def discard(self, pid: str) -> None:
        """Drop a copy."""
        owner = self._owners.pop(pid, None)
        if owner is not None:
            self._by_owner[owner].pop(pid, None)

    def take(self, owner: NodeId) -> Iterator[RecoverableSession]:
        """Remove and yield the copies of an owner."""
        for pid, session in self._by_owner.pop(owner, {}).items():
            if self._owners.get(pid) == owner:
                del self._owners[pid]
                yield session


class CopySender:
    """Sends the copies of this node's sessions.

    Args:
        node: this node.
        store: its sessions.
        max_part_bytes: largest message.
    """

    def __init__(self, node: Node, store: RecoveryStore, max_part_bytes: int) -> None:
        self._node = node
        self._store = store
        self._max_part_bytes = max_part_bytes
        self._keeper: NodeId | None = None
        self._tables_since = 0.0

    async def run(self) -> None:
        """Send what has changed, once per second."""
        while True:
            now_s = asyncio.get_running_loop().time()
            await asyncio.sleep(next_on_grid(now_s, INTERVAL_S) - now_s)
            try:
                await self.send_changes()
            except Exception as error:  # noqa: BLE001 - outer edge: the next round tries again
                self._node.diagnostics.report("session_copies_failed", exc_info=error)

    async def send_changes(self) -> None:
        """Send what has changed to the keeper; everything if it is another one than before."""
        keeper, store = choose_keeper(self._store.node_id, self._node.keepers), self._store
        is_new = keeper != self._keeper
        if is_new:
            if self._keeper is not None and self._keeper in self._node.peers:
                self._send(self._keeper, SessionCopies(replace=True, gone=(), rows=NO_ROWS))
            self._keeper, self._tables_since = keeper, 0.0
            store.changed = dict.fromkeys((*store.in_use, *(session.pid for session in store.suspended)))
        if keeper is None:
            store.stop_copying()
            return
        store.renew_tables()
        pids, store.changed = list(store.changed or ()), {}
        rows, gone = self._pack_tables(), list[str]()
        for start in range(0, len(pids), SLICE_SESSIONS):
            self._pack(pids[start : start + SLICE_SESSIONS], rows, gone)
            await asyncio.sleep(0)
        if not (rows or gone or is_new):
            return
        for index, part in enumerate(pack_rows(rows, self._max_part_bytes)):
            self._send(keeper, SessionCopies(is_new and not index, tuple(gone) if not index else (), part))
            await asyncio.sleep(0)

    def _pack(self, pids: Collection[str], rows: list[bytes], gone: list[str]) -> None:
        now = self._store.clock()
        for pid in pids:
            session = self._store.session_of(pid)
            row = b"" if session is None else pack_session(session, session.inherited, now)
            if row and len(row) <= MAX_COPY_BYTES:
                rows.append(row)
            else:
                gone.append(pid)

    def _pack_tables(self) -> list[bytes]:
        """Pack the tables that were made since the last call."""
        since, self._tables_since = self._tables_since, self._store.clock()
        namespaces = {namespace for _, namespace, tables in self._store.tables() if tables.newest_at >= since}
        return list(pack_tables(self._store, namespaces, since))

    def _send(self, keeper: NodeId, message: SessionCopies) -> None:
        self._node.outbox.respond(keeper, message)
