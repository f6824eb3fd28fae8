"""A simulated other node: messages sent to it are recorded, or fail."""

from zmqio.ids import NodeId
from zmqio.protocol.envelope import encode
from zmqio.protocol.messages import Envelope, MessageId
from zmqio.protocol.relay_messages import RelayMessage

__all__ = ["OWNER", "SID", "FakePeer"]

OWNER = NodeId("ther-is-a-node")
SID = "ther" + "x" * 16


class FakePeer:
    """Records the messages sent to it.

    Attributes:
        sent: (node id, message), in order.
        failure: if set, `send_to` raises it.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[NodeId, RelayMessage]] = []
        self.failure: Exception | None = None

    def send_to(self, node_id: NodeId, message: RelayMessage) -> None:
        if self.failure is not None:
            raise self.failure
        encode(Envelope(MessageId(node_id, 1, 0), message))  # raises if other nodes would refuse the message
        self.sent.append((node_id, message))

    @property
    def messages(self) -> list[RelayMessage]:
        """The messages to any node."""
        return [message for _, message in self.sent]
