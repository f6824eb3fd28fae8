"""The contracts between a node and whoever carries requests of clients from one node to another.

- `NodeMessenger`        the carrier -> here: who owns a session, and say something to one node
- `NodeMessageHandler`   here -> the carrier: what one node says, and that it is gone
- `NodeMessengerFactory`  the server -> here: whether an adapter factory has `NodeMessenger` at all
"""

from typing import Protocol, runtime_checkable

from zmqio.ids import NodeId, NodeTag
from zmqio.protocol.relay_messages import RelayMessage

__all__ = ["NodeMessageHandler", "NodeMessenger", "NodeMessengerFactory"]


class NodeMessageHandler(Protocol):
    """What the carrier hears; always called on the event loop."""

    def heard(self, sender: NodeId, message: RelayMessage) -> None:
        """Another node says something to this one. It may be answered to `sender`, but never passed on."""

    def node_gone(self, node_id: NodeId, reason: str) -> None:
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

    def say(self, node_id: NodeId, message: RelayMessage) -> None:
        """Send a message to one node, behind everything that was sent to it before.

        Raises:
            BusError: it did not leave this process, and never will (so it may be said again in another way).
            EnvelopeError: it has values that cannot be sent.
        """


@runtime_checkable
class NodeMessengerFactory(Protocol):
    """An `AdapterFactory` whose nodes can also speak one to one."""

    def peers(self) -> NodeMessenger:
        """The other nodes; there once the factory has started."""
