"""Tests of `zmqio.zeromq.entry`; tests/test_buses.py asks for each through an address."""

import pytest

from zmqio.exceptions import ConfigError
from zmqio.zeromq import entry


def test_addresses_are_checked() -> None:
    assert entry.addresses_of("tcp://a:1, ipc:///b") == ("tcp://a:1", "ipc:///b")
    with pytest.raises(ConfigError):
        entry.addresses_of("nats://a")
    with pytest.raises(ConfigError):
        entry.make_sender("nats://a", send_timeout_s=1, close_timeout_s=1, queue_messages=1)
