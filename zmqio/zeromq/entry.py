"""Makes adapters and senders from the address of a broker (see `zmqio.buses`)."""

from collections.abc import Sequence
from typing import Any

from zmqio.adapter.base import AdapterFactory
from zmqio.zeromq.adapter import ZmqAdapter
from zmqio.zeromq.addresses import split_addresses
from zmqio.zeromq.curve import Curve, load_curve

__all__ = ["addresses_of", "make_adapter", "make_async_sender", "make_sender"]


def addresses_of(text: str) -> Sequence[str]:
    """Return the addresses in a text, checked. Raises ConfigError."""
    return split_addresses(text)


def make_adapter(address: str, **options: Any) -> AdapterFactory:
    """Return the adapter factory. Raises ConfigError."""
    return ZmqAdapter(address, **options)


def make_sender(address: str, *, curve: Curve | None = None, **options: Any) -> Any:
    """Return the sender of an `Emitter`. Raises ConfigError."""
    from zmqio.zeromq.push_sender import PushSender  # imports libzmq, which a node does not need

    addresses = split_addresses(address)
    return PushSender(addresses, load_curve(curve, len(addresses)), **options)


def make_async_sender(address: str, *, curve: Curve | None = None, **options: Any) -> Any:
    """Return the sender of an `AsyncEmitter`. Raises ConfigError."""
    from zmqio.zeromq.push_sender import AsyncPushSender

    addresses = split_addresses(address)
    return AsyncPushSender(addresses, load_curve(curve, len(addresses)), **options)
