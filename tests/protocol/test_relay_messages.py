"""Messages of the relay. Their wire format is tested together with that of all messages."""

import dataclasses
from typing import get_args

import pytest

from zmqio.protocol.messages import Message
from zmqio.protocol.relay_messages import RelayMessage, StreamData


def test_relay_messages_are_bus_messages():
    assert set(get_args(RelayMessage)) < set(get_args(Message))


def test_relay_messages_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        StreamData(1, True, 0, ("2probe",)).seq = 1  # type: ignore[misc]


def test_first_field_is_the_request_or_stream_id():
    for make in get_args(RelayMessage):
        assert dataclasses.fields(make)[0].name in ("request_id", "stream_id")
