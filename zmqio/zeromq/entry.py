"""Makes adapters and senders from the address of a broker (see `zmqio.buses`)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from zmqio.adapter.base import AdapterFactory
from zmqio.adapter.bus import Bus
from zmqio.config import BusOptions
from zmqio.protocol.mechanism import MakeMechanism, NullMechanism
from zmqio.zeromq.adapter import ZmqAdapter
from zmqio.zeromq.addresses import split_addresses
from zmqio.zeromq.curve import Curve, load_curve

if TYPE_CHECKING:
    from zmqio.zeromq.broker_statistics import BrokerStatistics

__all__ = ["addresses_of", "make_adapter", "make_async_sender", "make_observer_bus", "make_sender"]


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


def make_observer_bus(
    address: str, *, curve: Curve | None = None, **options: Any
) -> tuple[Bus, "Mapping[str, Callable[..., BrokerStatistics]]"]:
    """Return the bus of an observer, and what makes the monitor of each broker. Raises ConfigError."""
    from zmqio.zeromq.bus import ZmqBus

    addresses = split_addresses(address)
    keys = load_curve(curve, len(addresses))
    mechanisms = [NullMechanism if each is None else each.mechanism() for each in keys]
    bus = ZmqBus(addresses, BusOptions(**options), mechanisms)
    monitors = zip(addresses, mechanisms, strict=True)
    return bus, {each: partial(_monitor, each, mechanism) for each, mechanism in monitors}


def _monitor(
    address: str, mechanism: MakeMechanism, received: Callable[[Mapping[str, Any]], None]
) -> "BrokerStatistics":
    from zmqio.zeromq.broker_statistics import BrokerStatistics

    return BrokerStatistics(asyncio.get_running_loop(), address, received, mechanism)
