"""The buses by the schemes of their addresses. Each is imported when an address asks for it.

| scheme | bus |
|---|---|
| `tcp://`, `ipc://` | ZeroMQ, through the broker of `zmqio broker` |
| `nats://`, `tls://` | NATS |
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, TypeAlias, cast

from zmqio.adapter.base import AdapterFactory
from zmqio.adapter.bus import Bus
from zmqio.exceptions import ConfigError

__all__ = [
    "BrokerMonitor",
    "MakeMonitor",
    "addresses_of",
    "make_adapter",
    "make_async_sender",
    "make_observer_bus",
    "make_sender",
]

_ENTRIES = {
    "tcp": "zmqio.zeromq.entry",
    "ipc": "zmqio.zeromq.entry",
    "nats": "zmqio.nats.entry",
    "tls": "zmqio.nats.entry",
}


class BrokerMonitor(Protocol):
    """Reports on one broker, or on the NATS servers of one cluster. Belongs to the running event loop."""

    @property
    def problem(self) -> str:
        """Why there is no report, as far as known; empty if all is well."""

    def ask(self) -> None:
        """Ask for a report."""

    def close(self) -> None:
        """Stop."""


MakeMonitor: TypeAlias = Callable[[Callable[[Mapping[str, Any]], None]], BrokerMonitor]
"""Makes a monitor that calls a function with each report; with an empty map if there is none."""


class BusEntry(Protocol):
    """The functions of the entry module of a bus; those of this module choose the bus and call them."""

    def addresses_of(self, text: str) -> Sequence[str]: ...

    def make_adapter(self, address: str, **options: Any) -> AdapterFactory: ...

    def make_sender(self, address: str, **options: Any) -> Any: ...

    def make_async_sender(self, address: str, **options: Any) -> Any: ...

    def make_observer_bus(self, address: str, **options: Any) -> tuple[Bus, Mapping[str, MakeMonitor]]: ...


def make_adapter(address: str, **options: Any) -> AdapterFactory:
    """Return the adapter factory for an address.

    Args:
        address: one or more addresses of one scheme, separated by commas.
        options: options of `ZmqAdapter` or `NatsAdapter`.

    Raises:
        ConfigError: an address, its scheme or an option is invalid.
    """
    return _entry_of(address).make_adapter(address, **options)


def make_sender(address: str, **options: Any) -> Any:  # Any: the emitter declares what it needs of a sender
    """Return what sends the requests of an `Emitter`.

    Args:
        address: as for `make_adapter`.
        options: `send_timeout_s`, `close_timeout_s`, `queue_messages` and `curve`.

    Raises:
        ConfigError: an address, its scheme or an option is invalid.
    """
    return _entry_of(address).make_sender(address, **options)


def make_async_sender(address: str, **options: Any) -> Any:
    """Return what sends the requests of an `AsyncEmitter`; as `make_sender`."""
    return _entry_of(address).make_async_sender(address, **options)


def make_observer_bus(address: str, **options: Any) -> tuple[Bus, Mapping[str, MakeMonitor]]:
    """Return a bus for an observer that is no node, and what makes the monitor of each broker, by its address.

    Args:
        address: as for `make_adapter`.
        options: `prefix` and the limits of the nodes; `curve` for a broker that requires keys.

    Raises:
        ConfigError: an address, its scheme or an option is invalid.
    """
    return _entry_of(address).make_observer_bus(address, **options)


def addresses_of(text: str) -> Sequence[str]:
    """Return the addresses in a text, checked, without user and password.

    Raises:
        ConfigError: an address or its scheme is invalid, or there is none.
    """
    return _entry_of(text).addresses_of(text)


def _entry_of(text: str) -> BusEntry:
    scheme = text.strip().partition("://")[0].lower()
    if scheme not in _ENTRIES:
        shown = text.rpartition("@")[2]  # without a password
        raise ConfigError(
            f"address {shown!r:.100} is neither that of a broker ('tcp://host:port', 'ipc://path') nor that of a "
            "NATS server ('nats://host:port', 'tls://host:port')"
        )
    return cast("BusEntry", import_module(_ENTRIES[scheme]))
