"""The messages that move sessions survive their wire form."""

import pytest

from zmqio.ids import NodeId
from zmqio.protocol.envelope import decode, encode
from zmqio.protocol.messages import Envelope, MessageId
from zmqio.protocol.recovery_messages import MissedPacketsRequest, RecoveryMessage, SessionRequest


@pytest.mark.parametrize(
    "message",
    [
        SessionRequest(1, b"\x90"),
        MissedPacketsRequest(2, b"\x90"),
    ],
)
def test_a_message_round_trips(message: RecoveryMessage) -> None:
    envelope = Envelope(MessageId(NodeId("node"), 3, 0), message)
    assert decode(encode(envelope)) == envelope
