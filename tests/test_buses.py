"""Tests of `zmqio.buses`."""

import subprocess
import sys
from typing import Any

import pytest

from zmqio.buses import addresses_of, make_adapter, make_async_sender, make_sender
from zmqio.exceptions import ConfigError
from zmqio.nats.adapter import NatsAdapter
from zmqio.nats.async_sender import AsyncNatsSender
from zmqio.nats.sender import NatsSender
from zmqio.zeromq.adapter import ZmqAdapter
from zmqio.zeromq.push_sender import AsyncPushSender, PushSender


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("tcp://127.0.0.1:5555", ZmqAdapter),
        ("ipc:///run/zmqio", ZmqAdapter),
        ("nats://a,nats://b", NatsAdapter),
        (" tls://a:4222", NatsAdapter),
    ],
)
def test_scheme_decides_the_adapter(address: str, kind: type) -> None:
    adapter = make_adapter(address, prefix="shop")
    assert isinstance(adapter, kind)
    assert adapter.options.prefix == "shop"  # type: ignore[attr-defined]
    assert tuple(addresses_of(address)) == adapter.addresses  # type: ignore[attr-defined]


@pytest.mark.parametrize("address", ["redis://me:s3cret@a:1", "a:1", "", "http://a"])
def test_unknown_scheme_is_refused_and_the_known_ones_are_named(address: str) -> None:
    with pytest.raises(ConfigError, match=r"tcp://.*ipc://.*nats://.*tls://") as caught:
        addresses_of(address)
    assert "s3cret" not in str(caught.value)


def test_keys_of_zeromq_are_refused_with_nats() -> None:
    with pytest.raises(ConfigError, match="credentials or tls://"):
        make_adapter("nats://a", curve=object())
    assert isinstance(make_adapter("nats://a", curve=None), NatsAdapter)


OPTIONS: dict[str, Any] = {"send_timeout_s": 1, "close_timeout_s": 1, "queue_messages": 10, "curve": None}


@pytest.mark.parametrize(
    ("address", "kinds"),
    [
        ("tcp://a:1,tcp://b:1", (PushSender, AsyncPushSender)),
        ("nats://a:1,nats://b:1", (NatsSender, AsyncNatsSender)),
    ],
)
def test_scheme_decides_the_sender_of_an_emitter(address: str, kinds: tuple[type, type]) -> None:
    for make, kind in zip((make_sender, make_async_sender), kinds, strict=True):
        sender = make(address, **OPTIONS)
        assert isinstance(sender, kind)
        assert sender.addresses == tuple(address.split(","))


@pytest.mark.parametrize(("address", "absent"), [("nats://a", "zmqio.zeromq"), ("tcp://a:1", "zmqio.nats")])
def test_other_bus_is_not_imported(address: str, absent: str) -> None:
    program = (
        f"import sys; from zmqio.buses import make_adapter; make_adapter({address!r}); "
        f"sys.exit(any(name.startswith({absent!r}) for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
