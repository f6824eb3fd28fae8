"""Moves sessions between nodes: asks the others for the session of a returning client, and answers them.

Knows messages and the node's `RecoveryStore`; knows no sockets.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from zmqio.cluster.node import Node
from zmqio.cluster.requests.rows import pack_rows
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
from zmqio.protocol import messages as m
from zmqio.protocol.recovery_messages import MissedPacketsRequest, RecoveryMessage, SessionRequest
from zmqio.protocol.values import pack_values, unpack_list, unpack_values
from zmqio.recovery.missed import MissedPacket
from zmqio.recovery.session import RecoverableSession, Returning
from zmqio.recovery.store import ClaimFailure, RecoveryStore

__all__ = ["MissedAnswer", "SessionExchange"]

HEADROOM_BYTES = 1_024
"""Bytes that topic and envelope add to an answer."""
DEATH_MARGIN_S = 1.0
"""Seconds beyond `dead_after_s` after which a node counts as silent."""


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

    # Requests of this node.

    async def find(self, namespace: str, pid: str, offset: str | None) -> Returning | ClaimFailure:
        """Get the session of a client from the node that holds it. That node no longer has it then."""
        await self._node.unicast.find(tag_of(pid))  # a node that has just started does not know the others yet
        peers = tuple(self._node.peers)
        if not peers:
            return ClaimFailure.SESSION_UNKNOWN
        with self._node.responses.open(peers, first_row_ends=True) as request:
            message = SessionRequest(request.id, namespace, pid, offset or "")
            try:
                self._node.outbox.publish(self._node.all_topic, message, may_wait=False)
            except BusError:
                return ClaimFailure.SESSION_UNKNOWN
            batches = await request.first(self._timeout_s)
        rows = [row for batch in batches for row in unpack_list(batch)]
        if not rows:
            return ClaimFailure.SESSION_UNKNOWN
        if rows[0] == []:
            return ClaimFailure.OFFSET_UNKNOWN
        return read_returning(rows[0], self._store.clock(), self._store.log.newest)

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
        now, packets, upto, answered, complete = self._store.clock(), [], dict[str, int](), set(silent), True
        gaps = list(silent)
        for batch in batches:
            for row in unpack_list(batch):
                if len(row) == len(SenderRow.__slots__):
                    node = read_node(row)
                    answered.add(node.node_id)
                    complete = complete and node.complete
                    upto |= {node.node_id: node.bus_number, f"={node.node_id}": node.log_number}
                else:
                    packets.append(read_packet(row, now))
        for node_id in {*self._node.peers, *self._publishers_of(returning)} - answered:
            if self._may_have_sent_more(node_id, returning):
                gaps.append(node_id)
        return MissedAnswer(complete, packets, upto, sorted(gaps))

    def _publishers_of(self, returning: Returning) -> set[NodeId]:
        own = self._store.node_id
        return {NodeId(key) for key in returning.received if key[:1] != "=" and key != own}

    def _may_have_sent_more(self, node_id: NodeId, returning: Returning) -> bool:
        """Whether a node that did not answer may have sent packets that the client missed."""
        known = self._node.highest_number_of(node_id)
        return known is not None and known > returning.received.get(node_id, 0)

    # Requests of other nodes.

    def received(self, sender: NodeId, message: RecoveryMessage) -> None:
        """Answer a request of another node."""
        if isinstance(message, SessionRequest):
            self._send(sender, message.request_id, self._give(message))
        else:
            self._send(sender, message.request_id, self._missed_rows(message))

    def _give(self, request: SessionRequest) -> list[bytes]:
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
        return [node.pack(), *(pack_packet(packet, now) for packet in packets)]

    def _send(self, requester: NodeId, request_id: int, rows: Iterable[bytes]) -> None:
        parts = list(pack_rows(rows, self._max_part_bytes))
        for index, part in enumerate(parts, 1):
            self._node.outbox.respond(requester, m.Response(request_id, part, index == len(parts)))
