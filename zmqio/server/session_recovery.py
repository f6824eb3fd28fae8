"""Suspends the sessions of clients that lost their connection, and resumes them; for one namespace.

It connects the namespace's sockets with the node's `RecoveryStore`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import cast

from zmqio.ids import Sid, make_sid
from zmqio.protocol.packet import Frames
from zmqio.protocol.parser import AppendingParser
from zmqio.recovery.missed import MissedPacket, with_offsets
from zmqio.recovery.packet_log import LoggedPacket
from zmqio.recovery.position import decode_offset, explicit_offset
from zmqio.recovery.recorder import PacketRecorder
from zmqio.recovery.session import RecoverableSession
from zmqio.recovery.store import RecoveryStore
from zmqio.recovery.vector import latest
from zmqio.server.claim import Claim
from zmqio.server.runtime import Runtime
from zmqio.server.socket import Socket

__all__ = ["RECOVERABLE_REASONS", "NamespaceRecovery", "Returning"]

RECOVERABLE_REASONS = frozenset(
    {
        "transport error",
        "transport close",
        "forced close",
        "ping timeout",
        "server shutting down",
        "forced server close",
        "slow client",
    }
)
"""Reasons of a disconnect after which a client may return to its session.

Source: socket.io 4.8 `RECOVERABLE_DISCONNECT_REASONS`; `slow client` is a reason of this server.
"""


@dataclass(slots=True)
class Returning:
    """A client that returns to its session.

    Attributes:
        session: the session.
        received: the vector of what the client has received.
        resumed: whether the client has its session back.
    """

    session: RecoverableSession
    received: Mapping[str, int]
    resumed: bool = False


class NamespaceRecovery:
    """The sessions of one namespace that can be recovered.

    Args:
        namespace: the namespace's name.
        store: the state that all namespaces of the server share.
        recorder: the position and the packets of the namespace.
        runtime: the shared parts of the server.
    """

    def __init__(self, namespace: str, store: RecoveryStore, recorder: PacketRecorder, runtime: Runtime) -> None:
        self.skip_middlewares = store.options.skip_middlewares
        self._namespace = namespace
        self._store = store
        self._recorder = recorder
        self._runtime = runtime
        self._parser = cast(AppendingParser, runtime.parser)
        self._connected: dict[str, Socket] = {}

    # Packets.

    def with_offset(self, frames: Frames) -> Frames:
        """Append the offset to an event that is delivered now."""
        return self._parser.append_argument(frames, self._recorder.offset())

    def record_event(self, socket: Socket, frames: Frames, *, volatile: bool) -> Frames:
        """Record an event that is sent to one socket, and append its offset."""
        session = socket.session
        if not volatile and (not socket.gone_reason or (session and session.pid in self._store.suspended)):
            self._recorder.sent(frames, frozenset((socket.id,)))
        return self.with_offset(frames)

    # Sessions.

    def new_session(self, sid: Sid) -> RecoverableSession:
        """Make the session of a client that connects for the first time."""
        return RecoverableSession(
            pid=make_sid(self._runtime.identity.tag),
            namespace=self._namespace,
            sid=sid,
            rooms=(),
            data={},
            connected_at=self._store.clock(),
            start=self._recorder.vector(),
            held_from=self._store.log.newest,
        )

    def begin(self, socket: Socket, returning: Returning | None) -> None:
        """Give a new socket its session, and what it had before if its client returns."""
        if returning is None:
            socket.session = self.new_session(socket.id)
            return
        socket.session = returning.session
        socket.data = returning.session.data
        socket.recovered = True

    def entered(self, socket: Socket) -> None:
        """Note that a socket has entered the namespace."""
        if socket.session is not None:
            self._connected[socket.session.pid] = socket

    async def find(self, claim: Claim) -> Returning | None:
        """Find the session that a client claims. It is no longer suspended, unless it is given back."""
        old = self._connected.get(claim.pid)
        if old is not None:
            old.abort("forced close")  # the client has noticed before the server that the connection is broken
        session = self._store.take(claim.pid, self._namespace)
        if session is None:
            self._runtime.counters["recovery_sessions_unknown"] += 1
            self._report_failure("the session is unknown or its time is over")
            return None
        offset = None
        if claim.offset is not None:
            offset = decode_offset(claim.offset, self._runtime.identity.tag, self._recorder.tables)
            if offset is None:
                self._runtime.counters["recovery_offsets_unknown"] += 1
                self._report_failure("the offset is unknown")
                return None
        returning = Returning(session, session.position(offset, self._store.own_key))
        if self._missed(returning) is None:
            self._runtime.counters["recovery_packets_dropped"] += 1
            self._report_failure("the client missed packets that are no longer kept")
            return None
        return returning

    def give_back(self, returning: Returning) -> None:
        """Suspend the session of a client again that did not enter the namespace."""
        self._store.suspend(returning.session)

    def resume(self, socket: Socket, returning: Returning) -> None:
        """Queue the packets that the client missed for its new socket, which has just entered the namespace."""
        returning.resumed = True
        session = returning.session
        packets = self._missed(returning)
        if packets is None:  # dropped while the client passed middleware
            packets, socket.recovery_gaps = [], (self._store.node_id,)
        own_key = self._store.own_key
        own = [MissedPacket(packet.at, packet.frames, {own_key: packet.number}) for packet in packets]
        prepare = self._runtime.engine.prepare
        missed = [prepare(frames) for frames in with_offsets(returning.received, (own,), self._append)]
        session.floor = latest(returning.received, {self._store.own_key: self._store.log.newest})
        session.floor_from = self._recorder.mark()
        socket.resume(missed)
        self._runtime.counters["sessions_recovered"] += 1
        self._runtime.counters["packets_recovered"] += len(missed)

    def suspend(self, socket: Socket, reason: str, rooms: Collection[str]) -> None:
        """Keep the session of a socket that is removed, if its client may return."""
        session = socket.session
        if session is None or self._connected.get(session.pid) is not socket:
            return
        del self._connected[session.pid]
        if self._runtime.fanout.busy:
            # Broadcasts that are queued for this id would also reach the socket that has it after the recovery.
            self._runtime.fanout.flush_for(socket.id)
        if reason in RECOVERABLE_REASONS and socket.knows_session:
            session.rooms = tuple(rooms)
            session.data = socket.data
            self._store.suspend(session)

    def _missed(self, returning: Returning) -> list[LoggedPacket] | None:
        """The packets of this node that the client missed; None if some of them are no longer kept."""
        session = returning.session
        return self._store.log.missed(
            self._namespace, session.rooms, returning.received, session.connected_at, session.held_from
        )

    def _append(self, frames: Frames, received: Mapping[str, int]) -> Frames:
        return self._parser.append_argument(frames, explicit_offset(dict(received)))

    def _report_failure(self, reason: str) -> None:
        self._runtime.notices.info("recovery_failed", subject=reason, namespace=self._namespace, reason=reason)
