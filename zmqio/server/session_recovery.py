"""Suspends the sessions of clients that lost their connection, and resumes them; for one namespace.

It connects the namespace's sockets with the node's `RecoveryStore`, and with the other nodes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import cast

from zmqio.cluster.adapter import ClusterAdapter
from zmqio.cluster.captures import Capture
from zmqio.cluster.missed_packets import MissedAnswer
from zmqio.cluster.session_exchange import SessionExchange
from zmqio.ids import Sid, make_sid
from zmqio.protocol.packet import Frames
from zmqio.protocol.parser import AppendingParser
from zmqio.recovery.missed import MissedPacket, after_all, in_order, with_offsets
from zmqio.recovery.position import explicit_offset
from zmqio.recovery.recorder import PacketRecorder
from zmqio.recovery.session import RecoverableSession, Returning
from zmqio.recovery.store import ClaimFailure, RecoveryStore
from zmqio.recovery.vector import latest, log_key
from zmqio.server.claim import Claim
from zmqio.server.runtime import Runtime
from zmqio.server.socket import Socket

__all__ = ["RECOVERABLE_REASONS", "NamespaceRecovery", "Resumption"]

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

NOTHING_MISSED = MissedAnswer(complete=True, packets=[], upto={}, gaps=[])


@dataclass(slots=True)
class Resumption:
    """A session that is about to be resumed.

    Attributes:
        returning: the session, and what its client has received.
        answer: the response of the other nodes.
        capture: keeps what arrives from other nodes since.
    """

    returning: Returning
    answer: MissedAnswer = NOTHING_MISSED
    capture: Capture | None = None

    @property
    def session(self) -> RecoverableSession:
        """The session."""
        return self.returning.session


class NamespaceRecovery:
    """The sessions of one namespace that can be recovered.

    Args:
        namespace: the namespace's name.
        store: the state that all namespaces of the server share.
        recorder: the position and the packets of the namespace.
        runtime: the shared parts of the server.
        adapter: the rooms of the namespace on all nodes, and the exchange with them; None without a bus.
    """

    def __init__(
        self,
        namespace: str,
        store: RecoveryStore,
        recorder: PacketRecorder,
        runtime: Runtime,
        cluster: tuple[ClusterAdapter, SessionExchange] | None = None,
    ) -> None:
        self.skip_middlewares = store.options.skip_middlewares
        self._namespace = namespace
        self._store = store
        self._recorder = recorder
        self._runtime = runtime
        self._parser = cast(AppendingParser, runtime.parser)
        self._cluster = cluster
        store.on_end[namespace] = self._release
        store.on_adopt[namespace] = self._retain

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

    def begin(self, socket: Socket, resumption: Resumption | None) -> None:
        """Give a new socket its session, and what it had before if its client returns."""
        if resumption is None:
            socket.session = self.new_session(socket.id)
            return
        socket.session = resumption.session
        socket.data = resumption.session.data
        socket.recovered = True

    def entered(self, socket: Socket) -> None:
        """Note that a socket has entered the namespace."""
        if socket.session is not None:
            self._store.in_use[socket.session.pid] = socket
            self._store.note_change(socket.session.pid)

    def note_change(self, socket: Socket) -> None:
        """Note that the rooms or the data of a socket may have changed."""
        if socket.session is not None:
            self._store.note_change(socket.session.pid)

    async def find(self, claim: Claim) -> Resumption | None:
        """Find the session that a client claims, on this node or another one, and what the client missed.

        The session is no longer suspended then: resume it, or give it back.
        """
        found = self._store.claim(self._namespace, claim.pid, claim.offset)
        if found is ClaimFailure.SESSION_UNKNOWN and self._cluster is not None:
            found = await self._cluster[1].find(self._namespace, claim.pid, claim.offset)
        if isinstance(found, ClaimFailure):
            self._report_failure(found)
            return None
        resumption = Resumption(found)
        try:
            await self._fetch_missed(resumption)
        except BaseException:
            self.give_back(resumption)
            raise
        if resumption.answer.complete and self._store.missed(found.session, found.received) is not None:
            return resumption
        self._end_capture(resumption)
        self._store.end(found.session)
        self._report_failure(ClaimFailure.PACKETS_DROPPED)
        return None

    def give_back(self, resumption: Resumption) -> None:
        """Suspend the session of a client again that did not enter the namespace."""
        self._end_capture(resumption)
        session = resumption.session
        session.inherited = tuple(self._private_packets(resumption))
        self._store.suspend(session)

    def resume(self, socket: Socket, resumption: Resumption) -> None:
        """Queue the packets that the client missed for its new socket, which has just entered the namespace."""
        self._end_capture(resumption)
        returning, session = resumption.returning, resumption.session
        returning.resumed = True
        arrived = [] if resumption.capture is None else resumption.capture.after(resumption.answer.upto)
        packets = in_order(self._packets(socket, resumption), arrived)
        prepare = self._runtime.engine.prepare
        missed = [prepare(frames) for frames in with_offsets(returning.received, packets, self._append)]
        session.inherited = tuple(self._private_packets(resumption))
        session.absence.end(after_all(returning.received, packets), self._store.clock())
        session.floor = self._floor(resumption, arrived)
        session.floor_key = self._store.own_key
        session.floor_from = self._recorder.mark()
        socket.resume(missed)
        self._release(session)
        self._runtime.counters["sessions_recovered"] += 1
        self._runtime.counters["packets_recovered"] += len(missed)
        self._report_gaps(socket)

    def suspend(self, socket: Socket, reason: str, rooms: Collection[str]) -> None:
        """Keep the session of a socket that is removed, if its client may return."""
        session = socket.session
        if session is None or not socket.entered or self._store.in_use.pop(session.pid, None) is None:
            return
        self._store.note_change(session.pid)
        if self._runtime.fanout.busy:
            # Broadcasts that are queued for this id would also reach the socket that has it after the recovery.
            self._runtime.fanout.flush_for(socket.id)
        if reason in RECOVERABLE_REASONS and socket.knows_session:
            session.rooms = tuple(rooms)
            session.data = socket.data
            self._retain(session)
            self._store.suspend(session)

    # Private.

    async def _fetch_missed(self, resumption: Resumption) -> None:
        if self._cluster is None:
            return
        adapter, exchange = self._cluster
        self._retain(resumption.session)
        await adapter.subscribed(resumption.session.rooms)
        resumption.capture = adapter.capture(resumption.session.rooms)
        resumption.answer = await exchange.missed(resumption.returning)
        await adapter.in_order()

    def _packets(self, socket: Socket, resumption: Resumption) -> list[MissedPacket]:
        """The packets that the client missed, of all nodes."""
        session, received, answer = resumption.session, resumption.returning.received, resumption.answer
        own, gaps = self._store.missed(session, received), list(answer.gaps)
        if own is None:  # dropped while the client passed middleware
            own, gaps = [], [*gaps, self._store.node_id]
        if resumption.capture is not None:
            gaps += resumption.capture.dropped.difference(gaps)
        socket.recovery_gaps = tuple(gaps)
        own = _behind(own, answer.packets)
        sent = [packet for packet in answer.packets if not packet.is_private]
        return [*own, *sent, *self._private_packets(resumption)]

    def _private_packets(self, resumption: Resumption) -> list[MissedPacket]:
        """The packets that only the nodes had which held the session before."""
        received, oldest = resumption.returning.received, self._store.clock() - self._store.keep_s
        packets = [*resumption.session.inherited, *resumption.answer.packets]
        return [
            packet
            for packet in packets
            if packet.is_private
            and packet.at >= oldest
            and (packet.number or 0) > received.get(log_key(packet.node_id), 0)
        ]

    def _floor(self, resumption: Resumption, arrived: list[MissedPacket]) -> dict[str, int]:
        floor = latest(resumption.returning.received, resumption.answer.upto)
        for packet in [*self._private_packets(resumption), *arrived]:
            floor = latest(floor, packet.numbers)
        return latest(floor, {self._store.own_key: self._store.log.newest})

    def _end_capture(self, resumption: Resumption) -> None:
        if self._cluster is not None and resumption.capture is not None:
            self._cluster[0].end_capture(resumption.capture)

    def _retain(self, session: RecoverableSession) -> None:
        if self._cluster is not None and not session.retained:
            session.retained = True
            self._cluster[0].retain(session.rooms)

    def _release(self, session: RecoverableSession) -> None:
        if self._cluster is not None and session.retained:
            session.retained = False
            self._cluster[0].release(session.rooms)

    def _append(self, frames: Frames, received: Mapping[str, int]) -> Frames:
        return self._parser.append_argument(frames, explicit_offset(dict(received)))

    def _report_failure(self, failure: ClaimFailure) -> None:
        counters = self._runtime.counters
        match failure:
            case ClaimFailure.SESSION_UNKNOWN:
                counters["recovery_sessions_unknown"] += 1
            case ClaimFailure.OFFSET_UNKNOWN:
                counters["recovery_offsets_unknown"] += 1
            case ClaimFailure.PACKETS_DROPPED:
                counters["recovery_packets_dropped"] += 1
        reason = failure.value
        self._runtime.notices.info("recovery_failed", subject=reason, namespace=self._namespace, reason=reason)

    def _report_gaps(self, socket: Socket) -> None:
        if socket.recovery_gaps:
            self._runtime.counters["recovery_gaps"] += 1
            self._runtime.notices.warning(
                "recovery_gap_detected", namespace=self._namespace, sid=socket.id, nodes=socket.recovery_gaps
            )


def _behind(own: list[MissedPacket], inherited: list[MissedPacket]) -> list[MissedPacket]:
    """Leave out requests of outside services that the previous holder also received; the others came later."""
    before = {packet.origin: packet.at for packet in inherited if packet.is_private and packet.origin}
    after = max(before.values(), default=0.0) + 1e-6
    return [
        replace(packet, at=max(packet.at, after)) if packet.origin else packet
        for packet in own
        if packet.origin not in before
    ]
