"""Sockets of one namespace without clients: they record packets and give prepared answers."""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any

from zmqio.adapter.base import Adapter, SocketDescription
from zmqio.exceptions import PacketError
from zmqio.ids import NodeId, Sid
from zmqio.protocol.packet import AckableFrames, Frames

__all__ = ["FakeSockets", "ackable", "event"]


def event(name: str, *args: Any) -> Frames:
    """An encoded event."""
    return (f"2{json.dumps([name, *args])}",)


def ackable(name: str, *args: Any) -> AckableFrames:
    """An encoded event with a place for its ack id."""
    return AckableFrames("2", json.dumps([name, *args]))


class FakeSockets:
    """Implements `LocalSockets`.

    Attributes:
        adapter: to be set; `describe` and `disconnect` use its rooms.
        received: sid -> the packets that it received.
        volatile: sid -> those of them that were volatile.
        answers: sid -> the acknowledgement of its client; without an entry the client does not answer.
        data: sid -> `socket.data`.
        server_side: the events from `server_side_emit`.
        server_side_answer: the answer of the application to them; None for none.
        on_expected: reports how many acknowledgements to expect; of the last packet that asked.
        disconnected: (sid, close), in order.
        room_events: (event, room, sid), in order.
    """

    def __init__(self, node_id: str = "node") -> None:
        self.node_id = NodeId(node_id)
        self.adapter: Adapter
        self.received: defaultdict[str, list[Frames]] = defaultdict(list)
        self.volatile: defaultdict[str, list[Frames]] = defaultdict(list)
        self.answers: dict[str, list[Any]] = {}
        self.data: dict[str, dict[str, Any]] = {}
        self.server_side: list[Sequence[Any]] = []
        self.server_side_answer: list[Any] | None = None
        self.disconnected: list[tuple[str, bool]] = []
        self.room_events: list[tuple[str, str, str | None]] = []
        self.largest_delivery = 0

    def deliver(self, sids: Collection[Sid], frames: Frames, *, volatile: bool = False) -> None:
        """Record a packet for each socket."""
        self.largest_delivery = max(self.largest_delivery, len(sids))
        for sid in sids:
            self.received[sid].append(frames)
            if volatile:
                self.volatile[sid].append(frames)

    def deliver_with_ack(
        self,
        sids: Collection[Sid],
        frames: AckableFrames,
        on_ack: Callable[[list[Any]], None],
        on_expected: Callable[[int], None],
        timeout_s: float,
    ) -> None:
        """Record a packet for each socket, and answer for those that have an answer."""
        on_expected(len(sids))
        self.on_expected = on_expected
        for number, sid in enumerate(sids):
            self.received[sid].append(frames.fill(number))
            if sid in self.answers:
                on_ack(self.answers[sid])

    def encode(self, event: str, args: Sequence[Any]) -> Frames:
        """Encode as JSON."""
        if event == "cannot be encoded":
            raise PacketError("this event cannot be encoded")
        return (f"2{json.dumps([event, *args])}",)

    def describe(self, sids: Collection[Sid]) -> list[SocketDescription]:
        """Describe each socket."""
        return [
            SocketDescription(
                sid,
                {"address": "127.0.0.1"},
                tuple(self.adapter.rooms_of(sid)),
                self.data.get(sid, {}),
                self.node_id,
            )
            for sid in sids
        ]

    def disconnect(self, sids: Collection[Sid], *, close: bool) -> None:
        """Take sockets out of their rooms, as the server does."""
        for sid in sids:
            self.disconnected.append((sid, close))
            self.adapter.remove_all(sid)

    def server_side_event(self, args: Sequence[Any], respond: Callable[[list[Any]], None] | None) -> None:
        """Record an event and answer it twice; only the first answer counts."""
        self.server_side.append(args)
        if respond is not None and self.server_side_answer is not None:
            respond(self.server_side_answer)
            respond(["a second answer"])

    def room_event(self, event: str, room: str, sid: Sid | None) -> None:
        """Record an event of a room."""
        self.room_events.append((event, room, sid))
