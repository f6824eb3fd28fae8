"""Moves sessions between nodes: asks the others for the session of a returning client, and answers them.

Knows messages and the node's `RecoveryStore`; knows no sockets.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from zmqio.cluster.handover_rows import HandoverReader, pack_log, pack_session, pack_tables
from zmqio.cluster.node import Node
from zmqio.cluster.requests.rows import pack_rows
from zmqio.cluster.session_copies import CopySender, KeptCopies, choose_keeper
from zmqio.cluster.session_rows import (
    SenderRow,
    pack_packet,
    pack_returning,
    read_node,
    read_packet,
    read_returning,
)
from zmqio.exceptions import BusError, EnvelopeError, RequestTimeoutError
from zmqio.ids import NodeId, Sid, tag_of
from zmqio.logger import get_logger
from zmqio.protocol import messages as m
from zmqio.protocol.recovery_messages import (
    MissedPacketsRequest,
    RecoveryMessage,
    SessionCopies,
    SessionHandover,
    SessionRequest,
)
from zmqio.protocol.values import pack_values, unpack_list, unpack_values
from zmqio.recovery.missed import MissedPacket
from zmqio.recovery.session import RecoverableSession, Returning
from zmqio.recovery.store import ClaimFailure, RecoveryStore
from zmqio.recovery.vector import log_key

__all__ = ["MissedAnswer", "SessionExchange"]

log = get_logger(__name__)

HEADROOM_BYTES = 1_024
"""Bytes that topic and envelope add to an answer."""
PART_BYTES = 1 << 20
MAX_SESSION_BYTES = 1 << 20
MAX_HANDOVER_BYTES = 16 << 20
"""Most bytes of the sessions that a node hands over when it stops, and of its packets. The rest is dropped."""
ASK_AGAIN = "ask again"
MAX_FORWARDS = 20
FORWARD_WAIT_S = 0.1
"""Seconds until a session is asked for again that is being handed over."""
DEATH_MARGIN_S = 3.0
"""Seconds beyond `dead_after_s` in which every node has noticed a death, and the keeper has answered."""


@dataclass(frozen=True, slots=True)
class MissedAnswer:
    """The packets of other nodes that a client missed.

    Attributes:
        complete: whether every node that answered still keeps all of them.
        packets: the packets.
        upto: a vector of what the answers contain.
        gaps: nodes that may have sent packets, and did not answer or do not keep packets.
    """

    complete: bool
    packets: list[MissedPacket]
    upto: dict[str, int]
    gaps: list[NodeId]


class SessionExchange:
    """The exchange of one node.

    Args:
        node: the node.
        store: its sessions and packets.
    """

    def __init__(self, node: Node, store: RecoveryStore) -> None:
        self._node = node
        self._store = store
        self._timeout_s = node.options.dead_after_s + DEATH_MARGIN_S
        self._max_part_bytes = max(node.options.max_message_bytes - HEADROOM_BYTES, 1)
        self._handover = HandoverReader(store, store.adopt)
        self._copies = KeptCopies(store)
        self._waiting: dict[str, dict[NodeId, SessionRequest]] = {}
        self._sender = CopySender(node, store, self._max_part_bytes)
        node.spawn(self._sender.run())
        self._handed_over: set[str] = set()

    # Requests of this node.

    async def find(self, namespace: str, pid: str, offset: str | None) -> Returning | ClaimFailure:
        """Get the session of a client from the node that holds it. That node no longer has it then."""
        for _ in range(MAX_FORWARDS):
            row = await self._ask_for_session(namespace, pid, offset)
            match row:
                case None:  # its node has died, and perhaps this node has the copy
                    return self._store.claim(namespace, pid, offset)
                case []:
                    return ClaimFailure.OFFSET_UNKNOWN
                case [_]:  # `ASK_AGAIN`: the session is on its way to another node, perhaps to this one
                    await asyncio.sleep(FORWARD_WAIT_S)
                    own = self._store.claim(namespace, pid, offset)
                    if own is not ClaimFailure.SESSION_UNKNOWN:
                        return own
                case _:
                    self._copies.discard(pid)
                    return read_returning(row, self._store.clock(), self._store.log.newest)
        return ClaimFailure.SESSION_UNKNOWN

    async def _ask_for_session(self, namespace: str, pid: str, offset: str | None) -> list[Any] | None:
        """Ask all nodes for a session; return the row of the one that answers, or None."""
        await self._node.unicast.find(tag_of(pid))  # a node that has just started does not know the others yet
        peers = tuple(self._node.peers)
        if not peers:
            return None
        with self._node.responses.open(peers, first_row_ends=True) as request:
            message = SessionRequest(request.id, namespace, pid, offset or "")
            try:
                self._node.outbox.publish(self._node.all_topic, message, may_wait=False)
            except BusError:
                return None
            batches = await request.first(self._timeout_s)
        rows = [row for batch in batches for row in unpack_list(batch)]
        return rows[0] if rows else None

    async def missed(self, returning: Returning) -> MissedAnswer:
        """Get the packets that a client missed from all other nodes."""
        session, peers = returning.session, tuple(self._node.peers)
        silent: list[NodeId] = []
        with self._node.responses.open(peers) as request:
            age_s = max(0.0, self._store.clock() - session.connected_at)
            vector = pack_values(returning.received)
            message = MissedPacketsRequest(
                request.id, session.namespace, session.pid, session.rooms, vector, age_s
            )
            batches: list[bytes] = []
            try:
                if peers:
                    self._node.outbox.publish(self._node.all_topic, message, may_wait=False)
                    batches = await request.result(self._timeout_s)
            except RequestTimeoutError as error:
                batches, silent = error.responses, [NodeId(node_id) for node_id in error.missing]
            except BusError:
                silent = list(peers)
        return self._read_answers(returning, batches, silent)

    def _read_answers(
        self, returning: Returning, batches: Iterable[bytes], silent: Iterable[NodeId]
    ) -> MissedAnswer:
        now, packets, upto, answered, complete = (
            self._store.clock(),
            list[MissedPacket](),
            dict[str, int](),
            set(silent),
            True,
        )
        gaps = list(silent)
        for archived in self._store.missed_of_archives(returning.session, returning.received):
            answered.add(archived.node_id)
            complete = complete and archived.packets is not None
            upto |= {archived.node_id: archived.bus_number, log_key(archived.node_id): archived.log_number}
            packets += archived.packets or ()
        for batch in batches:
            for row in unpack_list(batch):
                if len(row) == len(SenderRow.__slots__):
                    node = read_node(row)
                    answered.add(node.node_id)
                    complete = complete and node.complete
                    upto |= {node.node_id: node.bus_number, log_key(node.node_id): node.log_number}
                else:
                    packets.append(read_packet(row, now))
        for node_id in {*self._node.peers, *self._publishers_of(returning)} - answered:
            if self._may_have_sent_more(node_id, returning):
                gaps.append(node_id)
        return MissedAnswer(complete, packets, upto, sorted(gaps))

    def _publishers_of(self, returning: Returning) -> set[NodeId]:
        return {NodeId(key.removeprefix("=")) for key in returning.received} - {self._store.node_id}

    def _may_have_sent_more(self, node_id: NodeId, returning: Returning) -> bool:
        """Whether a node that did not answer may have sent packets that the client missed."""
        known = self._node.highest_number_of(node_id)
        return known is not None and known > returning.received.get(node_id, 0)

    # Requests of other nodes.

    def received(self, sender: NodeId, message: RecoveryMessage) -> None:
        """Answer a request of another node, or keep what it hands over."""
        match message:
            case SessionRequest() if message.pid in self._copies and not self._store.holds(message.pid):
                # The owner answers. If it dies, this node has the session.
                self._waiting.setdefault(message.pid, {})[sender] = message
            case SessionRequest():
                self._send(sender, message.request_id, self._give(message))
            case MissedPacketsRequest():
                self._send(sender, message.request_id, self._missed_rows(message))
            case SessionHandover():
                self._handover.read(message.rows)
            case SessionCopies():
                self._copies.update(sender, message)
                for pid in message.gone:
                    self._waiting.pop(pid, None)

    def node_left(self, node_id: NodeId, *, died: bool) -> None:
        """Continue the sessions of a node that died; one that stopped has handed them over."""
        self._store.expire_tables(tag_of(node_id))
        for session in self._copies.take(node_id):
            if died and not self._store.holds(session.pid):
                self._store.adopt(session)
            for requester, request in self._waiting.pop(session.pid, {}).items():
                self._send(requester, request.request_id, self._give(request))

    async def send_copies(self) -> None:
        """Send copies of what has changed now; this also happens once per second."""
        await self._sender.send_changes()

    # The stop of this node.

    async def hand_over(self) -> None:
        """Give all suspended sessions, and the packets that clients may have missed, to another node."""
        try:
            await self._hand_over()
        except Exception as error:  # noqa: BLE001 - outer edge: the node must still stop
            self._node.diagnostics.report("session_handover_failed", exc_info=error)

    async def _hand_over(self) -> None:
        keeper = choose_keeper(self._store.node_id, self._node.peers)
        if keeper is None:
            return
        store, now = self._store, self._store.clock()
        sessions, rows, size = (
            list(store.suspended),
            list(pack_tables(store, {session.namespace for session in store.suspended})),
            0,
        )
        for session in sessions:
            row = self._pack_suspended(session, now)
            size += 0 if row is None else len(row)
            if row is not None and len(row) <= MAX_SESSION_BYTES and size <= MAX_HANDOVER_BYTES:
                rows.append(row)
        left = MAX_HANDOVER_BYTES
        logs = [(store.log, self._node.outbox.newest_number)]
        logs += [(archive.log, archive.bus_number) for archive in store.archives.values()]
        for packet_log, bus_number in logs:
            packed = pack_log(packet_log, bus_number, now, left)
            left -= sum(map(len, packed))
            rows += packed
        self._handed_over = {session.pid for session in sessions}
        for part in pack_rows(rows, min(self._max_part_bytes, PART_BYTES)):
            self._node.outbox.respond(keeper, SessionHandover(part))
            await asyncio.sleep(0)
        log.info("sessions_handed_over", peer=keeper, sessions=len(sessions), rows=len(rows))

    def _pack_suspended(self, session: RecoverableSession, now: float) -> bytes | None:
        """Pack a session with the packets that only this node has; None if some of them are no longer kept."""
        received = session.start if session.claimed is None else session.claimed[1]
        own = self._store.missed(session, received)
        if own is None:
            return None
        private = [packet for packet in own if packet.is_private]
        return pack_session(session, [*session.inherited, *private], now)

    def _give(self, request: SessionRequest) -> list[bytes]:
        if request.pid in self._handed_over:
            return [pack_values([ASK_AGAIN])]
        returning = self._store.claim(request.namespace, request.pid, request.offset or None)
        if returning is ClaimFailure.OFFSET_UNKNOWN:
            return [pack_values([])]
        if not isinstance(returning, Returning):
            return []
        row = pack_returning(returning, self._store.clock())
        if len(row) > self._max_part_bytes:
            self._node.diagnostics.report("session_move_refused", bytes=len(row), limit=self._max_part_bytes)
            self._store.suspend(returning.session)
            return []
        self._store.give(returning.session)
        return [row]

    def _missed_rows(self, request: MissedPacketsRequest) -> list[bytes]:
        vector = unpack_values(request.vector)
        if type(vector) is not dict:
            raise EnvelopeError("vector must be packed from a dict")
        now, given = self._store.clock(), self._store.take_given(request.pid)
        session = given or RecoverableSession(
            request.pid, request.namespace, Sid(""), request.rooms, {}, now - request.age_s, {}, 0
        )
        found = self._store.missed(session, vector, private=given is not None)
        packets = [*(found or ()), *session.inherited]
        node = SenderRow(
            self._store.node_id, found is not None, self._store.log.newest, self._node.outbox.newest_number
        )
        senders = [node]
        for archived in self._store.missed_of_archives(session, vector):
            complete = archived.packets is not None
            senders.append(SenderRow(archived.node_id, complete, archived.log_number, archived.bus_number))
            packets += archived.packets or ()
        return [*(sender.pack() for sender in senders), *(pack_packet(packet, now) for packet in packets)]

    def _send(self, requester: NodeId, request_id: int, rows: Iterable[bytes]) -> None:
        parts = list(pack_rows(rows, self._max_part_bytes))
        for index, part in enumerate(parts, 1):
            self._node.outbox.respond(requester, m.Response(request_id, part, index == len(parts)))
