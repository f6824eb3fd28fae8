"""The other node, played by the test: what is said to it is kept, or fails."""

from zmqio.ids import NodeId
from zmqio.protocol.envelope import encode
from zmqio.protocol.messages import Envelope, MessageId
from zmqio.protocol.relay_messages import RelayMessage

__all__ = ["OWNER", "SID", "PlayedPeer"]

OWNER = NodeId("ther-is-a-node")
SID = "ther" + "x" * 16


class PlayedPeer:
    """Keeps what is said.

    Attributes:
        said: (to whom, what), in order.
        failure: set it and nothing can be said: this is raised.
    """

    def __init__(self) -> None:
        self.said: list[tuple[NodeId, RelayMessage]] = []
        self.failure: Exception | None = None

    def say(self, node_id: NodeId, message: RelayMessage) -> None:
        if self.failure is not None:
            raise self.failure
        encode(Envelope(MessageId(node_id, 1, 0), message))  # nothing is said that others would refuse
        self.said.append((node_id, message))

    @property
    def messages(self) -> list[RelayMessage]:
        """What was said, to anybody."""
        return [message for _, message in self.said]
