"""Makes adapters and senders from the address of NATS servers (see `zmqio.buses`)."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from zmqio.adapter.base import AdapterFactory
from zmqio.adapter.bus import Bus
from zmqio.exceptions import ConfigError
from zmqio.nats.adapter import NatsAdapter
from zmqio.nats.addresses import parse_servers
from zmqio.nats.async_sender import AsyncNatsSender
from zmqio.nats.bus import NatsBus
from zmqio.nats.login import load_login
from zmqio.nats.sender import NatsSender
from zmqio.nats.server_status import ServerStatus

__all__ = ["addresses_of", "make_adapter", "make_async_sender", "make_observer_bus", "make_sender"]


def addresses_of(text: str) -> Sequence[str]:
    """Return the addresses in a text, checked, without users and passwords. Raises ConfigError."""
    return tuple(map(str, parse_servers(text)))


def make_adapter(address: str, *, curve: object = None, **options: Any) -> AdapterFactory:
    """Return the adapter factory. Raises ConfigError."""
    _refuse(curve)
    return NatsAdapter(address, **options)


def make_sender(address: str, *, curve: object = None, queue_messages: int = 0, **options: Any) -> Any:
    """Return the sender of an `Emitter`, which queues nothing. Raises ConfigError."""
    _refuse(curve)
    servers = parse_servers(address)
    return NatsSender(servers, load_login(servers), **options)


def make_async_sender(address: str, *, curve: object = None, **options: Any) -> Any:
    """Return the sender of an `AsyncEmitter`. Raises ConfigError."""
    _refuse(curve)
    servers = parse_servers(address)
    return AsyncNatsSender(servers, load_login(servers), **options)


def make_observer_bus(
    address: str, *, curve: object = None, **options: Any
) -> tuple[Bus, Mapping[str, Callable[..., ServerStatus]]]:
    """Return the bus of an observer, and what makes the monitor of its cluster. Raises ConfigError."""
    _refuse(curve)
    chosen = NatsAdapter(address, **options)
    bus = NatsBus(chosen.servers, chosen.options, load_login(chosen.servers), "zmqio observer")
    return bus, {bus.brokers: partial(ServerStatus, bus)}


def _refuse(curve: object) -> None:
    if curve is not None:
        raise ConfigError("curve holds keys for a ZeroMQ broker; for NATS use credentials or tls://")
