"""What this node answers to the questions of others, each to the asker's inbox only."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

from zmqio.adapter.base import LocalSockets, SocketDescription
from zmqio.cluster.node import Node
from zmqio.cluster.requests.rows import pack_rows
from zmqio.exceptions import PacketError
from zmqio.ids import NodeId, Sid
from zmqio.protocol import messages as m
from zmqio.protocol.values import pack_values, unpack_values

__all__ = ["SLICE_SOCKETS", "Responder", "to_description"]

SLICE_SOCKETS = 100
"""Sockets described in one turn of the loop: about 2 ms with the usual handshake of 1 kB (the target is 10 ms)."""
SLICE_NAMES = 1_000
"""Rooms named in one turn of the loop: about 2 ms."""
HEADROOM_BYTES = 1_024
"""What topic and envelope add to a part."""

_Item = TypeVar("_Item")
_Pack: TypeAlias = Callable[[Sequence[_Item]], list[bytes]]


class Responder:
    """Answers for one namespace.

    Args:
        node: the way back.
        sockets: the sockets of the namespace.
    """

    def __init__(self, node: Node, sockets: LocalSockets) -> None:
        self._node = node
        self._sockets = sockets
        self._part_bytes = max(node.options.max_message_bytes - HEADROOM_BYTES, 1)

    def acks(self, asker: NodeId, message: m.AckedBroadcast, sids: Sequence[Sid]) -> None:
        """Ask the clients; tell first how many they are, then what each answers."""

        def answered(args: list[Any]) -> None:
            self._node.answer(asker, m.AckResponse(message.request_id, pack_values(args)))

        self._node.answer(asker, m.AckCount(message.request_id, len(sids)))
        if sids:
            self._sockets.deliver_with_ack(sids, message.frames, answered, message.timeout_s)

    def descriptions(self, asker: NodeId, message: m.FetchSockets, sids: Sequence[Sid]) -> None:
        """Describe sockets; many of them in slices, so that the loop stays free."""
        self._say_all(asker, message.request_id, sids, SLICE_SOCKETS, self._rows)

    def rooms(self, asker: NodeId, message: m.FetchRooms, rooms: Iterable[str]) -> None:
        """Name the rooms that have a member here; many of them in slices."""
        self._say_all(asker, message.request_id, tuple(rooms), SLICE_NAMES, _pack_each)

    def server_side(self, asker: NodeId, message: m.ServerSideEmit) -> None:
        """Hand an event to the application; its one answer goes back if one is wanted."""
        args = unpack_values(message.args)
        if message.request_id is None:
            self._sockets.server_side_event(args, None)
        else:
            self._sockets.server_side_event(args, self._respond_once(asker, message.request_id))

    def _respond_once(self, asker: NodeId, request_id: int) -> Callable[[list[Any]], None]:
        answered = False

        def respond(values: list[Any]) -> None:
            nonlocal answered
            if not answered:
                part = pack_values([list(values)])
                answered = True
                self._node.answer(asker, m.Response(request_id, part, last=True))

        return respond

    def _say_all(
        self, asker: NodeId, request_id: int, items: Sequence[_Item], slice_items: int, pack: _Pack[_Item]
    ) -> None:
        if len(items) <= slice_items:
            self._say(asker, request_id, pack(items))
        else:
            self._node.spawn(self._say_slices(asker, request_id, items, slice_items, pack))

    async def _say_slices(
        self, asker: NodeId, request_id: int, items: Sequence[_Item], slice_items: int, pack: _Pack[_Item]
    ) -> None:
        for start in range(0, len(items), slice_items):
            rows = pack(items[start : start + slice_items])
            self._say(asker, request_id, rows, last=start + slice_items >= len(items))
            await asyncio.sleep(0)

    def _say(self, asker: NodeId, request_id: int, rows: Iterable[bytes], *, last: bool = True) -> None:
        batches = list(pack_rows(rows, self._part_bytes))
        for index, batch in enumerate(batches, 1):
            self._node.answer(asker, m.Response(request_id, batch, last and index == len(batches)))

    def _rows(self, sids: Sequence[Sid]) -> list[bytes]:
        return [self._row(description) for description in self._sockets.describe(sids)]

    def _row(self, description: SocketDescription) -> bytes:
        """Pack a description; without what cannot travel, which is told: the asker still learns of the socket."""
        sid, node_id = description.sid, description.node_id
        attempts = (
            [sid, description.handshake, description.rooms, description.data, node_id],
            [sid, description.handshake, description.rooms, {}, node_id],
        )
        for attempt in attempts:
            try:
                row = pack_values(attempt)
            except PacketError as error:
                reason = str(error)
            else:
                if len(row) < self._part_bytes:
                    return row
                reason = f"{len(row)} bytes are over the limit for one message on the bus"
            self._node.incidents.report("socket_description_cut", sid=sid, reason=reason)
        return pack_values([sid, {}, (), {}, node_id])


def _pack_each(values: Sequence[Any]) -> list[bytes]:
    return [pack_values(value) for value in values]


def to_description(row: Sequence[Any]) -> SocketDescription:
    """What `Responder` packed for one socket."""
    sid, handshake, rooms, data, node_id = row
    return SocketDescription(Sid(sid), handshake, tuple(rooms), data, NodeId(node_id))
