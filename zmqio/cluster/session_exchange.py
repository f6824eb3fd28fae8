"""Moves sessions between nodes: gets the session of a returning client from the others, and gives them theirs.

Knows messages and the node's `RecoveryStore`; knows no sockets.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from zmqio.cluster.batched_requests import BatchedRequests
from zmqio.cluster.handover_rows import HandoverReader
from zmqio.cluster.missed_packets import MissedAnswer, MissedPackets
from zmqio.cluster.node import Node
from zmqio.cluster.requests.rows import pack_rows
from zmqio.cluster.session_copies import CopySender, KeptCopies
from zmqio.cluster.session_handover import HandoverSender
from zmqio.cluster.session_rows import (
    COPIED,
    FOUND,
    MOVING,
    OFFSET_UNKNOWN,
    ClaimRow,
    pack_claim,
    pack_returning,
    read_claims,
    read_returning,
)
from zmqio.ids import NodeId, tag_of
from zmqio.protocol import messages as m
from zmqio.protocol.recovery_messages import (
    MissedPacketsRequest,
    RecoveryMessage,
    SessionCopies,
    SessionHandover,
    SessionRequest,
)
from zmqio.protocol.values import pack_values
from zmqio.recovery.session import Returning
from zmqio.recovery.store import ClaimFailure, RecoveryStore

__all__ = ["SessionExchange"]

HEADROOM_BYTES = 1_024
"""Bytes that topic and envelope add to an answer."""
PART_BYTES = 1 << 20
"""Largest part of an answer: it is read in about 5 ms."""
ASK_AGAIN_S = 0.1
"""Seconds until a session is requested again that is on its way to another node, or whose owner has just died."""
MAX_REQUESTS = 30
"""Most requests for one session: a little longer than all nodes need to notice a death."""
DEATH_MARGIN_S = 3.0
"""Seconds beyond `dead_after_s` in which every node has noticed a death."""


class SessionExchange:
    """The exchange of one node.

    Args:
        node: the node.
        store: its sessions and packets.
    """

    def __init__(self, node: Node, store: RecoveryStore) -> None:
        self._node = node
        self._store = store
        self._max_row_bytes = max(node.options.max_message_bytes - HEADROOM_BYTES, 1)
        part_bytes, timeout_s = min(self._max_row_bytes, PART_BYTES), node.options.dead_after_s + DEATH_MARGIN_S
        self._requests = BatchedRequests(
            node, SessionRequest, timeout_s, ends=_is_decisive, unclaimed=self._take_back
        )
        self._part_bytes = part_bytes
        self._missed = MissedPackets(node, store, timeout_s, part_bytes)
        self._copies = KeptCopies(store)
        self._copy_sender = CopySender(node, store, part_bytes)
        self._handover = HandoverReader(store, store.adopt)
        self._handover_sender = HandoverSender(node, store, part_bytes)
        node.spawn(self._copy_sender.run())

    # Requests of this node.

    async def find(self, namespace: str, pid: str, offset: str | None) -> Returning | ClaimFailure:
        """Get the session of a client from the node that holds it. That node no longer has it then."""
        # A node that has just started does not know the others yet; on a busy machine, that takes seconds.
        await self._node.unicast.find(tag_of(pid), self._node.options.dead_after_s)
        claim = pack_claim(ClaimRow(namespace, pid, offset))
        for _ in range(MAX_REQUESTS):
            rows = (await self._requests.ask(claim)).rows
            kind = rows[-1][0] if rows else ""
            if kind == FOUND:
                return self._take(rows[-1])
            if kind == OFFSET_UNKNOWN:
                return ClaimFailure.OFFSET_UNKNOWN
            # This node may have got the session in the meantime: it was handed over, or its owner has died.
            own = self._store.claim(namespace, pid, offset)
            if own is not ClaimFailure.SESSION_UNKNOWN or not self._may_appear(rows):
                return own
            await asyncio.sleep(ASK_AGAIN_S)
        return ClaimFailure.SESSION_UNKNOWN

    async def missed(self, returning: Returning) -> MissedAnswer:
        """Get the packets that a client missed from all other nodes."""
        return await self._missed.of(returning)

    # Requests of other nodes.

    def received(self, sender: NodeId, message: RecoveryMessage) -> None:
        """Answer a request of another node, or keep what it hands over."""
        match message:
            case SessionRequest():
                rows = pack_rows(self._answer_claims(message), self._part_bytes)
                self._send(sender, message.request_id, list(rows))
            case MissedPacketsRequest():
                self._node.spawn(self._missed.answer(sender, message))
            case SessionHandover() if self._handover_sender.begun:
                self._handover_sender.pass_on(message)
            case SessionHandover():
                self._handover.read(message.rows)
            case SessionCopies():
                self._copies.update(sender, message)

    def node_left(self, node_id: NodeId, *, died: bool) -> None:
        """Continue the sessions of a node that died; one that stopped has handed them over."""
        self._missed.node_left(node_id)
        self._store.expire_tables(tag_of(node_id))
        for session in self._copies.take(node_id):
            if died and not self._store.holds(session.pid):
                self._store.adopt(session)

    async def send_copies(self) -> None:
        """Send copies of what has changed now; this also happens once per second."""
        await self._copy_sender.send_changes()

    async def hand_over(self) -> None:
        """Give all suspended sessions, and the packets that clients may have missed, to another node."""
        await self._handover_sender.send()

    # Private.

    def _take(self, row: Sequence[Any]) -> Returning:
        returning = read_returning(row, self._store.clock(), self._store.log.newest)
        self._copies.discard(returning.session.pid)
        return returning

    def _take_back(self, row: Sequence[Any]) -> None:
        """Keep the session of a client that has disconnected before this node received it."""
        if row[0] == FOUND:
            self._store.adopt(self._take(row).session)

    def _may_appear(self, rows: list[Sequence[Any]]) -> bool:
        """Whether some node is about to hold the session."""
        kinds = {row[0]: row for row in rows}
        return MOVING in kinds or (COPIED in kinds and kinds[COPIED][1] not in self._node.peers)

    def _answer_claims(self, request: SessionRequest) -> Iterator[bytes]:
        for index, claim in enumerate(read_claims(request.claims)):
            row = self._answer_claim(index, claim)
            if row is not None:
                yield row

    def _answer_claim(self, index: int, claim: ClaimRow) -> bytes | None:
        if claim.pid in self._handover_sender.pids:
            return pack_values([index, MOVING])
        returning = self._store.claim(claim.namespace, claim.pid, claim.offset)
        if returning is ClaimFailure.OFFSET_UNKNOWN:
            return pack_values([index, OFFSET_UNKNOWN])
        if isinstance(returning, Returning):
            return self._give(index, returning)
        owner = self._copies.owner_of(claim.pid)
        return None if owner is None else pack_values([index, COPIED, owner])

    def _give(self, index: int, returning: Returning) -> bytes | None:
        row = pack_returning(index, returning, self._store.clock())
        if len(row) > self._max_row_bytes:
            self._node.diagnostics.report("session_move_refused", bytes=len(row), limit=self._max_row_bytes)
            self._store.suspend(returning.session)
            return None
        self._store.give(returning.session)
        return row

    def _send(self, requester: NodeId, request_id: int, parts: Sequence[bytes]) -> None:
        for number, part in enumerate(parts, 1):
            self._node.outbox.respond(requester, m.Response(request_id, part, number == len(parts)))


def _is_decisive(row: Sequence[Any]) -> bool:
    return row[0] in (FOUND, OFFSET_UNKNOWN, MOVING)
