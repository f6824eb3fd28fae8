"""Tests of `zmqio.zeromq.addresses`."""

import pytest

from zmqio.exceptions import ConfigError
from zmqio.zeromq.addresses import split_addresses


@pytest.mark.parametrize(
    "text",
    ["tcp://127.0.0.1:5555", "tcp://broker.local:1", "tcp://[::1]:5555", "ipc:///run/zmqio", f"ipc:///{'x' * 96}"],
)
def test_valid_addresses_are_accepted(text: str) -> None:
    assert split_addresses(text) == (text,)


def test_several_addresses_are_split_at_commas() -> None:
    assert split_addresses("tcp://a:1, tcp://b:2") == ("tcp://a:1", "tcp://b:2")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "127.0.0.1:5555",
        "tcp://:5555",
        "tcp://a",
        "tcp://a:0",
        "tcp://a:65533",
        "ipc://",
        "redis://a:1",
        f"ipc:///{'x' * 97}",
    ],
)
def test_invalid_addresses_are_rejected(text: str) -> None:
    with pytest.raises(ConfigError):
        split_addresses(text)
