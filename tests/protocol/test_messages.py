import dataclasses
from typing import get_args

import pytest

from zmqio.ids import NodeId
from zmqio.protocol.messages import Goodbye, Message, MessageId, MessageType


def test_wire_numbers_never_change():
    assert {kind.name: int(kind) for kind in MessageType} == {
        "HEARTBEAT": 1,
        "GOODBYE": 2,
        "BROADCAST": 3,
        "ACKED_BROADCAST": 4,
        "JOIN_ROOMS": 5,
        "LEAVE_ROOMS": 6,
        "DISCONNECT_SOCKETS": 7,
        "SERVER_SIDE_EMIT": 8,
        "FETCH_SOCKETS": 9,
        "FETCH_ROOMS": 10,
        "RESPONSE": 11,
        "ACK_COUNT": 12,
        "ACK_RESPONSE": 13,
        "REPLAY_REQUEST": 14,
        "REPLAY_ANSWER": 15,
        "SESSION_REQUEST": 16,
        "MISSED_PACKETS_REQUEST": 17,
        "SESSION_HANDOVER": 18,
        "SESSION_COPIES": 19,
        "HTTP_REQUEST": 20,
        "HTTP_RESPONSE": 21,
        "HTTP_CANCEL": 22,
        "STREAM_OPEN": 23,
        "STREAM_ACCEPT": 24,
        "STREAM_REFUSE": 25,
        "STREAM_DATA": 26,
        "STREAM_CREDIT": 27,
        "STREAM_CLOSE": 28,
        "HTTP_DELIVERED": 29,
        "FETCH_METRICS": 30,
    }


def test_every_wire_number_has_a_message():
    numbered = {kind.name.replace("_", "").lower() for kind in MessageType}
    assert {message.__name__.removesuffix("Message").lower() for message in get_args(Message)} == numbered


def test_messages_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Goodbye("bye").reason = "other"  # type: ignore[misc]


def test_message_id_without_previous_is_unsequenced():
    assert MessageId(NodeId("n"), 5).previous is None
