"""What two nodes say about a client's request; the forms on the wire are tested with those of all messages."""

import dataclasses
from typing import get_args

import pytest

from zmqio.protocol.messages import Message
from zmqio.protocol.relay_messages import RelayMessage, StreamData


def test_they_are_messages_like_the_others():
    assert set(get_args(RelayMessage)) < set(get_args(Message))


def test_they_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        StreamData(1, True, 0, ("2probe",)).seq = 1  # type: ignore[misc]


def test_each_names_its_request_or_its_stream_first():
    for make in get_args(RelayMessage):
        assert dataclasses.fields(make)[0].name in ("request_id", "stream_id")
