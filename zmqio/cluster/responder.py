"""Answers the requests of other nodes for one namespace, each to the requester's inbox only."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

from zmqio.adapter.base import LocalSockets, SocketDescription
from zmqio.cluster.node import Node
from zmqio.cluster.requests.rows import pack_rows
from zmqio.exceptions import EnvelopeError, PacketError
from zmqio.ids import NodeId, Sid
from zmqio.protocol import messages as m
from zmqio.protocol.values import pack_values, unpack_list

__all__ = ["SLICE_SOCKETS", "Responder", "to_description"]

SLICE_SOCKETS = 100
"""Sockets described in one turn of the event loop: about 2 ms with the usual handshake of 1 kB (target: 10 ms)."""
SLICE_ROOMS = 1_000
"""Rooms listed in one turn of the event loop: about 2 ms."""
HEADROOM_BYTES = 1_024
"""Bytes that topic and envelope add to a batch."""

_Item = TypeVar("_Item")
_Pack: TypeAlias = Callable[[Sequence[_Item]], list[bytes]]


class Responder:
    """Sends the responses of one namespace.

    Args:
        node: this node.
        sockets: the sockets of the namespace.
    """

    def __init__(self, node: Node, sockets: LocalSockets) -> None:
        self._node = node
        self._respond = node.outbox.respond
        self._sockets = sockets
        self._max_part_bytes = max(node.options.max_message_bytes - HEADROOM_BYTES, 1)

    def send_acks(self, requester: NodeId, message: m.AckedBroadcast, sids: Sequence[Sid]) -> None:
        """Emit to clients; send the number of acknowledgements to expect, then each as it arrives.

        The number is sent again, lower, when clients disconnect that have not acknowledged.
        """

        def acknowledged(args: list[Any]) -> None:
            self._respond(requester, m.AckResponse(message.request_id, pack_values(args)))

        def expected(count: int) -> None:
            self._respond(requester, m.AckCount(message.request_id, count))

        self._sockets.deliver_with_ack(sids, message.frames, acknowledged, expected, message.timeout_s)

    def send_descriptions(self, requester: NodeId, message: m.FetchSockets, sids: Sequence[Sid]) -> None:
        """Describe sockets; many of them in slices, so that the event loop stays responsive."""
        self._send(requester, message.request_id, sids, SLICE_SOCKETS, self._pack_descriptions)

    def send_rooms(self, requester: NodeId, message: m.FetchRooms, rooms: Iterable[str]) -> None:
        """List the rooms that have a member here; many of them in slices."""
        self._send(requester, message.request_id, tuple(rooms), SLICE_ROOMS, _pack_each)

    def server_side_emit(self, requester: NodeId, message: m.ServerSideEmit) -> None:
        """Pass an event to the application; if a response is requested, the application's first answer is sent."""
        args = unpack_list(message.args)
        if not args or type(args[0]) is not str:
            raise EnvelopeError("the arguments of a server-side event must begin with its name")
        if message.request_id is None:
            self._sockets.server_side_event(args, None)
        else:
            self._sockets.server_side_event(args, self._respond_once(requester, message.request_id))

    def _respond_once(self, requester: NodeId, request_id: int) -> Callable[[list[Any]], None]:
        responded = False

        def respond(values: list[Any]) -> None:
            nonlocal responded
            if not responded:
                part = pack_values([list(values)])
                responded = True
                self._respond(requester, m.Response(request_id, part, last=True))

        return respond

    def _send(
        self, requester: NodeId, request_id: int, items: Sequence[_Item], slice_items: int, pack: _Pack[_Item]
    ) -> None:
        if len(items) <= slice_items:
            self._send_rows(requester, request_id, pack(items))
        else:
            self._node.spawn(self._send_slices(requester, request_id, items, slice_items, pack))

    async def _send_slices(
        self, requester: NodeId, request_id: int, items: Sequence[_Item], slice_items: int, pack: _Pack[_Item]
    ) -> None:
        for start in range(0, len(items), slice_items):
            rows = pack(items[start : start + slice_items])
            self._send_rows(requester, request_id, rows, last=start + slice_items >= len(items))
            await asyncio.sleep(0)

    def _send_rows(self, requester: NodeId, request_id: int, rows: Iterable[bytes], *, last: bool = True) -> None:
        parts = list(pack_rows(rows, self._max_part_bytes))
        for index, part in enumerate(parts, 1):
            self._respond(requester, m.Response(request_id, part, last and index == len(parts)))

    def _pack_descriptions(self, sids: Sequence[Sid]) -> list[bytes]:
        return [self._pack_description(description) for description in self._sockets.describe(sids)]

    def _pack_description(self, description: SocketDescription) -> bytes:
        """Pack a description. Values that cannot be sent are left out and reported; the socket itself never is."""
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
                if len(row) < self._max_part_bytes:
                    return row
                reason = f"{len(row)} bytes exceed the limit of one bus message"
            self._node.diagnostics.report("socket_description_truncated", sid=sid, reason=reason)
        return pack_values([sid, {}, (), {}, node_id])


def _pack_each(values: Sequence[Any]) -> list[bytes]:
    return [pack_values(value) for value in values]


def to_description(row: Sequence[Any]) -> SocketDescription:
    """Rebuild the description of one socket that a `Responder` packed."""
    sid, handshake, rooms, data, node_id = row
    return SocketDescription(Sid(sid), handshake, tuple(rooms), data, NodeId(node_id))
