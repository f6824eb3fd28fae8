"""Everything that one node keeps for the recovery of sessions: its packets, its positions, disconnected sessions.

Pure, except for a clock that is given.
"""

from collections import Counter
from collections.abc import Callable
from itertools import count

from zmqio.config import Recovery
from zmqio.ids import NodeId, tag_of
from zmqio.recovery.packet_log import PacketLog
from zmqio.recovery.position import Position
from zmqio.recovery.recorder import PacketRecorder
from zmqio.recovery.session import RecoverableSession
from zmqio.recovery.suspended import SuspendedSessions
from zmqio.recovery.vector import log_key

__all__ = ["RecoveryStore"]


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
        own_key: the key of this node's log numbers in vectors.
        options: as given.
        log: the packets of this node.
        suspended: the sessions of disconnected clients.
        clock: as given.
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
        self.own_key = log_key(node_id)
        self.options = options
        self.clock = clock
        self._keep_s = options.max_disconnection_s + notice_s
        self._counters = counters
        self._table_ids = count(1)
        self.log = PacketLog(node_id, options.max_log_bytes, self._keep_s)
        self.suspended = SuspendedSessions(
            options.max_disconnection_s, options.max_sessions, options.max_session_bytes, self._session_ended
        )

    def recorder(self, namespace: str) -> PacketRecorder:
        """Make the recorder of a namespace that opens."""
        tag = tag_of(self.node_id)
        position = Position(self.node_id, tag, self.log.newest, self._keep_s, self._table_ids)
        return PacketRecorder(namespace, self.log, position, self.clock)

    def suspend(self, session: RecoverableSession) -> None:
        """Keep the session of a client that has disconnected."""
        self._counters["sessions_suspended"] += 1
        self.suspended.add(session, self.clock())

    def take(self, pid: str, namespace: str) -> RecoverableSession | None:
        """Remove and return a suspended session; None if it is unknown or its time is over."""
        return self.suspended.take(pid, namespace, self.clock())

    def expire(self) -> None:
        """Drop what is too old; call it every few seconds."""
        now = self.clock()
        self.log.expire(now)
        self.suspended.expire(now)

    def _session_ended(self, session: RecoverableSession, why: str) -> None:
        if why == "expired":
            self._counters["suspended_sessions_expired"] += 1
        elif why == "dropped":
            self._counters["suspended_sessions_dropped"] += 1
