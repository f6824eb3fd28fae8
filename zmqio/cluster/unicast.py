"""A node's `Peers`: finds the owner of a session, and passes on what is said between two nodes.

Stands between the node and its `NodeEvents`, for it has to know who comes and goes. Sends only what its user
says.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from typing import Protocol, runtime_checkable

from zmqio.adapter.base import BusGap, NodeEvents
from zmqio.ids import NodeId, NodeTag, tag_of
from zmqio.protocol.relay_messages import RelayMessage

__all__ = ["YOUNG_S", "NodeMessageHandler", "NodeMessenger", "NodeMessengerFactory", "Unicast"]

YOUNG_S = 1.0
"""How long after its first echo a node may not have heard all others: they answer its hello at once, and beat
every second anyway. Also the longest time that one `find` waits."""

EARLY_KEPT = 1_000
"""Messages that come before there is a carrier, which is while the node starts: for ids of a predecessor with the
same tag. Beyond it the oldest are dropped."""


class NodeMessageHandler(Protocol):
    """What the carrier hears; always called on the event loop."""

    def received(self, sender: NodeId, message: RelayMessage) -> None:
        """Another node says something to this one. It may be answered to `sender`, but never passed on."""

    def node_unreachable(self, node_id: NodeId, reason: str) -> None:
        """Nothing more will come from a node, and nothing reaches it."""


class NodeMessenger(Protocol):
    """The other nodes, one by one."""

    def attach(self, events: NodeMessageHandler) -> None:
        """Messages reach `events` from now on."""

    async def find(self, tag: NodeTag) -> NodeId | None:
        """The live node that makes session ids with that tag, this one excluded; None if there is none.

        A node that has just started does not know all others yet: for a tag that is unknown then, it waits up to
        1 s for somebody to say it is his.
        """

    def send_to(self, node_id: NodeId, message: RelayMessage) -> None:
        """Send a message to one node, behind everything that was sent to it before.

        Raises:
            BusError: it did not leave this process, and never will (so it may be said again in another way).
            EnvelopeError: it has values that cannot be sent.
        """


@runtime_checkable
class NodeMessengerFactory(Protocol):
    """An `AdapterFactory` whose nodes can also speak one to one."""

    def messenger(self) -> NodeMessenger:
        """The other nodes; there once the factory has started."""


class Unicast:
    """The `Peers` of one node.

    Args:
        events: told who comes and goes.
        peers: gives the other living nodes, in the order in which they were first seen.
        say: sends to the inbox of one node.
        clock: gives the seconds of any steady clock.
    """

    def __init__(
        self,
        events: NodeEvents,
        *,
        peers: Callable[[], Collection[NodeId]],
        say: Callable[[NodeId, RelayMessage], None],
        clock: Callable[[], float],
    ) -> None:
        self._events = events
        self._peers = peers
        self._say = say
        self._clock = clock
        self._carrier: NodeMessageHandler | None = None
        self._early: deque[tuple[NodeId, RelayMessage]] = deque(maxlen=EARLY_KEPT)
        self._known_at: float | None = None
        self._joined: asyncio.Future[None] | None = None

    # `Peers`.

    def attach(self, events: NodeMessageHandler) -> None:
        """Messages reach `events` from now on."""
        self._carrier = events
        while self._early:
            events.received(*self._early.popleft())

    async def find(self, tag: NodeTag) -> NodeId | None:
        """The live node of that tag; a young node waits for it up to `YOUNG_S`."""
        ends_at = self._clock() + YOUNG_S
        while True:
            owner = self._find(tag)
            left_s = min(ends_at, self._old_at()) - self._clock()
            if owner is not None or left_s <= 0:
                return owner
            await asyncio.wait((self._next_to_join(),), timeout=left_s)

    def send_to(self, node_id: NodeId, message: RelayMessage) -> None:
        """Send a message to one node."""
        self._say(node_id, message)

    # From the node.

    def echo(self) -> None:
        """An own heartbeat came back: others hear this node, and it them."""
        if self._known_at is None:
            self._known_at = self._clock()

    def received(self, sender: NodeId, message: RelayMessage) -> None:
        """Another node says something to this one."""
        if self._carrier is not None:
            self._carrier.received(sender, message)
        else:
            self._early.append((sender, message))

    def give_up(self) -> None:
        """This node leaves the bus: nobody is there any more."""
        for node_id in tuple(self._peers()):
            self._part_from(node_id, "this node has left the bus")

    # `NodeEvents`.

    def node_joined(self, node_id: NodeId) -> None:
        """Another node is there."""
        joined, self._joined = self._joined, None
        if joined is not None and not joined.done():
            joined.set_result(None)
        self._events.node_joined(node_id)

    def node_left(self, node_id: NodeId, reason: str) -> None:
        """Another node is gone."""
        self._part_from(node_id, reason)
        self._events.node_left(node_id, reason)

    def bus_gap(self, gap: BusGap) -> None:
        """Something that another node said is lost: what it was part of cannot go on."""
        self._part_from(gap.node_id, gap.reason)
        self._events.bus_gap(gap)

    def _find(self, tag: NodeTag) -> NodeId | None:
        # Of two with the same tag the later one is alive: the other is its predecessor, or has to go.
        return next((node_id for node_id in reversed(tuple(self._peers())) if tag_of(node_id) == tag), None)

    def _old_at(self) -> float:
        return float("inf") if self._known_at is None else self._known_at + YOUNG_S

    def _next_to_join(self) -> asyncio.Future[None]:
        if self._joined is None:
            self._joined = asyncio.get_running_loop().create_future()
        return self._joined

    def _part_from(self, node_id: NodeId, reason: str) -> None:
        if self._carrier is not None:
            self._carrier.node_unreachable(node_id, reason)
