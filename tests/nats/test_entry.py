"""Tests of `zmqio.nats.entry`; tests/test_buses.py asks for each through an address."""

import pytest

from zmqio.exceptions import ConfigError
from zmqio.nats import entry


def test_addresses_are_shown_without_passwords() -> None:
    assert entry.addresses_of("nats://me:pw@a, nats://b:1") == ("nats://a:4222", "nats://b:1")


@pytest.mark.parametrize(
    "make", [entry.make_adapter, entry.make_sender, entry.make_async_sender, entry.make_observer_bus]
)
def test_keys_of_zeromq_are_refused(make) -> None:
    with pytest.raises(ConfigError, match="credentials or tls://"):
        make("nats://a", curve=object())
