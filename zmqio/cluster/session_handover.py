"""Hands the sessions and packets of a node that stops over to another node.

Knows messages and the node's `RecoveryStore`; knows no sockets.
"""

import asyncio
from collections.abc import Container, Iterator

from zmqio.cluster.handover_rows import pack_log, pack_session, pack_tables
from zmqio.cluster.node import Node
from zmqio.cluster.requests.rows import pack_rows
from zmqio.cluster.session_copies import choose_keeper
from zmqio.exceptions import BusError, RequestTimeoutError
from zmqio.ids import NodeId
from zmqio.logger import get_logger
from zmqio.protocol.recovery_messages import SessionHandover, SessionRequest
from zmqio.protocol.values import pack_values
from zmqio.recovery.session import RecoverableSession
from zmqio.recovery.store import RecoveryStore

__all__ = ["HandoverSender"]

log = get_logger(__name__)

CONFIRM_S = 2.0
"""Longest wait until the other node has read a handover."""
NO_CLAIMS = pack_values([])
MAX_SESSION_BYTES = 1 << 20
MAX_HANDOVER_BYTES = 16 << 20
"""Most bytes of the sessions that a node hands over, and of its packets. The rest is dropped."""


class HandoverSender:
    """The handover of one node.

    Args:
        node: the node.
        store: its sessions and packets.
        max_part_bytes: largest message.

    Attributes:
        begun: whether the handover has begun. From then on, other nodes do not hand over to this one.
        pids: private ids of the sessions that were handed over.
    """

    def __init__(self, node: Node, store: RecoveryStore, max_part_bytes: int) -> None:
        self.pids: Container[str] = ()
        self.begun = False
        self._node = node
        self._store = store
        self._max_part_bytes = max_part_bytes

    async def send(self) -> None:
        """Give all suspended sessions, and packets that clients may have missed, to another node. Never raises."""
        try:
            await self._send()
        except Exception as error:  # noqa: BLE001 - outer edge: the node must still stop
            self._node.diagnostics.report("session_handover_failed", exc_info=error)

    def pass_on(self, message: SessionHandover) -> None:
        """Pass a handover of another node on: it was sent before that node knew that this one stops, too."""
        keeper = choose_keeper(self._store.node_id, self._node.keepers)
        if keeper is not None:
            self._node.outbox.respond(keeper, message)

    async def _send(self) -> None:
        self.begun = True
        self._node.stop_keeping_sessions()
        keeper = choose_keeper(self._store.node_id, self._node.keepers)
        if keeper is None:
            return
        sessions = list(self._store.suspended)
        tables = pack_tables(self._store, {session.namespace for session in sessions})
        rows = [*tables, *self._pack_sessions(sessions), *self._pack_logs()]
        self.pids = {session.pid for session in sessions}
        for part in pack_rows(rows, self._max_part_bytes):
            self._node.outbox.respond(keeper, SessionHandover(part))
            await asyncio.sleep(0)
        confirmed = await self._is_read(keeper)
        log.info("sessions_handed_over", peer=keeper, sessions=len(sessions), rows=len(rows), confirmed=confirmed)

    async def _is_read(self, keeper: NodeId) -> bool:
        """Wait until the keeper has read the handover: this node must answer clients until then.

        The keeper answers a request without claims, which follows the handover. Without a broker it cannot.
        """
        if not self._node.outbox.connected_links:
            return False
        try:
            with self._node.responses.open((keeper,)) as request:
                self._node.outbox.send_to(keeper, SessionRequest(request.id, NO_CLAIMS))
                await request.result(CONFIRM_S)
        except (BusError, RequestTimeoutError):
            return False
        return True

    def _pack_sessions(self, sessions: list[RecoverableSession]) -> Iterator[bytes]:
        size, now = 0, self._store.clock()
        for session in sessions:
            row = self._pack_session(session, now)
            size += 0 if row is None else len(row)
            if row is not None and len(row) <= MAX_SESSION_BYTES and size <= MAX_HANDOVER_BYTES:
                yield row

    def _pack_session(self, session: RecoverableSession, now: float) -> bytes | None:
        """Pack a session with the packets that only this node has; None if some of them are no longer kept."""
        received = session.start if session.claimed is None else session.claimed[1]
        own = self._store.missed(session, received)
        if own is None:
            return None
        private = [packet for packet in own if packet.is_private]
        return pack_session(session, [*session.inherited, *private], now)

    def _pack_logs(self) -> Iterator[bytes]:
        """Pack the packets of this node, and of the nodes that handed theirs over to it."""
        left, now = MAX_HANDOVER_BYTES, self._store.clock()
        store = self._store
        logs = [(store.log, self._node.outbox.newest_number, now - store.limit_s)]
        logs += [(each.log, each.bus_number, each.complete_since) for each in store.archives.values()]
        for packet_log, bus_number, complete_since in logs:
            packed = pack_log(packet_log, bus_number, complete_since, now, left)
            left -= sum(map(len, packed))
            yield from packed
