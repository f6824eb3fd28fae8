"""Requests the packets that returning clients missed from all other nodes, and answers such requests.

Knows messages and the node's `RecoveryStore`; knows no sockets.
"""

import asyncio
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from zmqio.cluster.batched_requests import BatchedAnswer, BatchedRequests
from zmqio.cluster.missed_rows import (
    ClientRow,
    PacketKey,
    SenderRow,
    group_by_node,
    pack_client,
    pack_departed,
    pack_packet,
    read_clients,
    read_departed,
    read_packet,
    read_row,
)
from zmqio.cluster.node import Node
from zmqio.cluster.requests.rows import pack_rows
from zmqio.ids import NodeId, Sid
from zmqio.protocol import messages as m
from zmqio.protocol.recovery_messages import MissedPacketsRequest
from zmqio.recovery.absence import Absence
from zmqio.recovery.departed import DepartedNode
from zmqio.recovery.missed import MissedPacket
from zmqio.recovery.session import RecoverableSession, Returning
from zmqio.recovery.store import ArchivedPackets, RecoveryStore
from zmqio.recovery.vector import log_key

__all__ = ["MissedAnswer", "MissedPackets"]

DEPARTED = "departed"
SLICE_S = 0.005
"""Seconds after which the packets of the next clients are collected in another turn of the event loop."""


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


class MissedPackets:
    """The exchange of missed packets of one node.

    Args:
        node: the node.
        store: its packets.
        timeout_s: seconds until a node that does not answer is a gap.
        max_part_bytes: largest message.
    """

    def __init__(self, node: Node, store: RecoveryStore, timeout_s: float, max_part_bytes: int) -> None:
        self._node = node
        self._store = store
        self._max_part_bytes = max_part_bytes
        self._requests = BatchedRequests(node, MissedPacketsRequest, timeout_s, read_shared=self._read_shared)

    async def of(self, returning: Returning) -> MissedAnswer:
        """Get the packets that a client missed from all other nodes."""
        if not all(map(self._is_known, returning.received)):
            await self._node.unicast.discovered()
        answer = await self._requests.ask(pack_client(returning, self._store.clock()))
        return self._read(returning, answer)

    async def answer(self, requester: NodeId, request: MissedPacketsRequest) -> None:
        """Answer the request of another node, in slices."""
        loop = asyncio.get_running_loop()
        rows, sent, slice_ends, away_s = list[bytes](), set[PacketKey](), loop.time() + SLICE_S, 0.0
        for index, client in enumerate(read_clients(request.clients)):
            rows += self._rows_about(index, client, sent)
            away_s = max(away_s, client.away_s)
            if loop.time() > slice_ends:
                await asyncio.sleep(0)
                slice_ends = loop.time() + SLICE_S
        rows += self._rows_about_departed(away_s)
        parts = list(pack_rows(rows, self._max_part_bytes))
        for number, part in enumerate(parts, 1):
            self._node.outbox.respond(requester, m.Response(request.request_id, part, number == len(parts)))
            await asyncio.sleep(0)

    def node_left(self, node_id: NodeId) -> None:
        """Remember a node that has left: nobody may have its packets."""
        number = self._node.highest_number_of(node_id) or 0
        self._store.departed.add(DepartedNode(node_id, number, self._store.clock()))

    # Private.

    def _read(self, returning: Returning, answer: BatchedAnswer) -> MissedAnswer:
        packets, senders = list[MissedPacket](), list[SenderRow]()
        for archived in self._store.missed_of_archives(returning.session, returning.received):
            senders.append(_sender_of(archived))
            packets += archived.packets or ()
        for row in map(read_row, answer.rows):
            if isinstance(row, SenderRow):
                senders.append(row)
            else:
                packets += [answer.shared[row.node_id, number] for number in row.numbers]
        upto: dict[str, int] = {}
        for sender in senders:
            upto |= {sender.node_id: sender.bus_number, log_key(sender.node_id): sender.log_number}
        departed = [*self._departed_since(returning.session.absence.seconds(self._store.clock()))]
        for sender in senders:
            departed += answer.shared.get((DEPARTED, sender.node_id), ())
        known = {*answer.silent, *(sender.node_id for sender in senders)}
        more = {*self._live_with_more(returning, known), *self._departed_with_more(returning, known, departed)}
        gaps = sorted({*answer.silent, *more})
        return MissedAnswer(all(sender.complete for sender in senders), packets, upto, gaps)

    def _is_known(self, key: str) -> bool:
        node_id = NodeId(key.removeprefix("="))
        return node_id == self._store.node_id or node_id in self._node.peers or node_id in self._store.departed

    def _live_with_more(self, returning: Returning, known: Collection[NodeId]) -> Iterator[NodeId]:
        """The nodes that are not `known`, have not left, and may have sent packets that the client missed."""
        received = returning.received
        nodes = {*self._node.peers, *(NodeId(key.removeprefix("=")) for key in received)}
        for node_id in nodes.difference(known, (self._store.node_id,)):
            if node_id in self._store.departed:
                continue
            newest = self._node.highest_number_of(node_id)
            if newest is not None and newest > received.get(node_id, 0):
                yield node_id

    def _departed_with_more(
        self, returning: Returning, known: Collection[NodeId], departed: Iterable[DepartedNode]
    ) -> Iterator[NodeId]:
        """The nodes that left while the client was away, and whose packets nobody keeps."""
        now, store = self._store.clock(), self._store
        since = now - returning.session.absence.seconds(now) - store.notice_s
        for node in departed:
            is_missed = node.at >= since and node.number > returning.received.get(node.node_id, 0)
            if is_missed and node.node_id not in known and node.node_id != store.node_id:
                yield node.node_id

    def _departed_since(self, away_s: float) -> list[DepartedNode]:
        return self._store.departed.since(self._store.clock() - away_s - self._store.notice_s)

    def _rows_about_departed(self, away_s: float) -> Iterator[bytes]:
        departed = self._departed_since(away_s)
        if departed:
            yield pack_departed(self._store.node_id, departed, self._store.clock())

    def _rows_about(self, index: int, client: ClientRow, sent: set[PacketKey]) -> Iterator[bytes]:
        """The rows of the answer about one client; packets in `sent` are not packed again."""
        now, given = self._store.clock(), self._store.take_given(client.pid)
        session = given or RecoverableSession(
            client.pid,
            client.namespace,
            Sid(""),
            client.rooms,
            {},
            now - client.age_s,
            {},
            0,
            absence=Absence(since=now - client.away_s),
        )
        found = self._store.missed(session, client.vector, private=given is not None)
        log_number, bus_number = self._store.log.newest, self._node.outbox.newest_number
        yield SenderRow(self._store.node_id, found is not None, log_number, bus_number).pack(index)
        packets = [*(found or ()), *session.inherited]
        for archived in self._store.missed_of_archives(session, client.vector):
            yield _sender_of(archived).pack(index)
            packets += archived.packets or ()
        for packet in packets:
            key = packet.node_id, packet.number or 0
            if key not in sent:
                sent.add(key)
                yield pack_packet(packet, now)
        for references in group_by_node(packets):
            yield references.pack(index)

    def _read_shared(self, row: Sequence[Any]) -> tuple[Hashable, Any]:
        now = self._store.clock()
        if row[0] is None:
            node_id, departed = read_departed(row, now)
            return (DEPARTED, node_id), departed
        packet = read_packet(row, now)
        return (packet.node_id, packet.number or 0), packet


def _sender_of(archived: ArchivedPackets) -> SenderRow:
    complete = archived.packets is not None
    return SenderRow(archived.node_id, complete, archived.log_number, archived.bus_number)
