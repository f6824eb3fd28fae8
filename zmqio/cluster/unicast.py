"""Finds the node that owns a session, and sends messages to single nodes.

Carries the messages of the relay, which serves requests that reach another node than their session's:

- `NodeMessenger`         relay -> here: find the owner of a session, and send a message to one node
- `NodeMessageHandler`    here -> relay: a node's messages, and that a node can no longer be reached
- `NodeMessengerFactory`  server -> here: whether an adapter factory has a `NodeMessenger` at all
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from zmqio.adapter.base import BusGap
from zmqio.cluster.delivery.outbox import Outbox
from zmqio.exceptions import BusUnavailableError
from zmqio.ids import NodeId, NodeTag, tag_of
from zmqio.protocol.relay_messages import HttpRequest, RelayMessage, StreamOpen

__all__ = ["DISCOVERY_S", "NodeMessageHandler", "NodeMessenger", "NodeMessengerFactory", "Unicast"]

DISCOVERY_S = 1.0
"""Time after its first echo in which a node may not know all others yet. They answer its first heartbeat at once,
and send one every second anyway. Also the longest wait of one `find`."""

EARLY_KEPT = 1_000
"""Messages kept until a handler is attached, which is while the node starts; beyond that, the oldest are dropped.
They are meant for a predecessor with the same tag."""


class NodeMessageHandler(Protocol):
    """Receives the messages of other nodes; always called on the event loop."""

    def received(self, sender: NodeId, message: RelayMessage) -> None:
        """Process a message. It may be answered to `sender`, but never forwarded."""

    def node_unreachable(self, node_id: NodeId, reason: str) -> None:
        """End every exchange with a node: it has left, or messages of it are lost."""


class NodeMessenger(Protocol):
    """Sends messages to single nodes."""

    def attach(self, handler: NodeMessageHandler) -> None:
        """Pass received messages to `handler` from now on."""

    async def find(self, tag: NodeTag) -> NodeId | None:
        """Find the other live node whose session ids begin with `tag`; None if there is none.

        A node that has just started does not know all others yet. If a tag is unknown then, this waits up to 1 s
        for its owner to appear.
        """

    def send_to(self, node_id: NodeId, message: RelayMessage) -> None:
        """Send a message to one node, behind everything that was sent to it before.

        While no broker is connected, a message that begins a request (`HttpRequest`, `StreamOpen`) is refused: its
        client would wait, and the request would be served long after the client has gone. Other messages wait for
        a broker.

        Raises:
            BusError: the message did not leave this process and never will, so it may be sent in another way.
            EnvelopeError: it contains values that cannot be sent.
        """


@runtime_checkable
class NodeMessengerFactory(Protocol):
    """An `AdapterFactory` whose nodes can send messages to single nodes."""

    def messenger(self) -> NodeMessenger:
        """The messenger of this node; available once the factory has started."""


class Unicast:
    """The `NodeMessenger` of one node.

    Args:
        outbox: sends messages.
        clock: gives the seconds of any steady clock.
    """

    def __init__(self, outbox: Outbox, clock: Callable[[], float]) -> None:
        self._outbox = outbox
        self._clock = clock
        self._handler: NodeMessageHandler | None = None
        self._early: deque[tuple[NodeId, RelayMessage]] = deque(maxlen=EARLY_KEPT)
        self._peers: dict[NodeId, None] = {}
        self._known_at: float | None = None
        self._next_join: asyncio.Future[None] | None = None

    # `NodeMessenger`.

    def attach(self, handler: NodeMessageHandler) -> None:
        """Pass received messages to `handler` from now on."""
        self._handler = handler
        while self._early:
            handler.received(*self._early.popleft())

    async def find(self, tag: NodeTag, limit_s: float = DISCOVERY_S) -> NodeId | None:
        """Find the live node of a tag; a node that has just started waits for it.

        Args:
            tag: of the node.
            limit_s: longest wait. It ends earlier, `DISCOVERY_S` after this node has begun to receive messages.
        """
        ends_at = self._clock() + limit_s
        while True:
            owner = self._find_known(tag)
            left_s = min(ends_at, self._discovered_at()) - self._clock()
            if owner is not None or left_s <= 0:
                return owner
            await asyncio.wait((self._wait_for_join(),), timeout=left_s)

    async def discovered(self) -> None:
        """Wait until this node, if it has just started, has had time to meet the others; at most `DISCOVERY_S`."""
        ends_at = self._clock() + DISCOVERY_S
        while (left_s := min(ends_at, self._discovered_at()) - self._clock()) > 0:
            await asyncio.wait((self._wait_for_join(),), timeout=left_s)

    def send_to(self, node_id: NodeId, message: RelayMessage) -> None:
        """Send a message to one node."""
        if isinstance(message, HttpRequest | StreamOpen) and not self._outbox.connected_links:
            raise BusUnavailableError("no broker is connected")
        self._outbox.send_to(node_id, message)

    # From the node.

    def echo(self) -> None:
        """Note that a heartbeat of this node came back, so that the others receive its messages and it theirs."""
        if self._known_at is None:
            self._known_at = self._clock()

    def received(self, sender: NodeId, message: RelayMessage) -> None:
        """Pass a message of another node to the handler."""
        if self._handler is not None:
            self._handler.received(sender, message)
        else:
            self._early.append((sender, message))

    def node_joined(self, node_id: NodeId) -> None:
        """Note a new node."""
        self._peers[node_id] = None
        joined, self._next_join = self._next_join, None
        if joined is not None and not joined.done():
            joined.set_result(None)

    def node_left(self, node_id: NodeId, reason: str) -> None:
        """Note that a node has left."""
        self._peers.pop(node_id, None)
        self._report_unreachable(node_id, reason)

    def bus_gap(self, gap: BusGap) -> None:
        """End the exchanges with a node whose messages are lost; they cannot continue without them."""
        self._report_unreachable(gap.node_id, gap.reason)

    def close(self) -> None:
        """Report every node as unreachable: this node leaves the bus."""
        peers, self._peers = self._peers, {}
        for node_id in peers:
            self._report_unreachable(node_id, "this node has left the bus")

    # Private.

    def _find_known(self, tag: NodeTag) -> NodeId | None:
        # Of two nodes with the same tag, the later one is alive: the other is its predecessor, or has to leave.
        return next((node_id for node_id in reversed(self._peers) if tag_of(node_id) == tag), None)

    def _discovered_at(self) -> float:
        return float("inf") if self._known_at is None else self._known_at + DISCOVERY_S

    def _wait_for_join(self) -> asyncio.Future[None]:
        if self._next_join is None:
            self._next_join = asyncio.get_running_loop().create_future()
        return self._next_join

    def _report_unreachable(self, node_id: NodeId, reason: str) -> None:
        if self._handler is not None:
            self._handler.node_unreachable(node_id, reason)
