"""The buses by the schemes of their addresses. Each is imported when an address asks for it.

| scheme | bus |
|---|---|
| `tcp://`, `ipc://` | ZeroMQ, through the broker of `zmqio broker` |
| `nats://`, `tls://` | NATS |
"""

from collections.abc import Callable, Sequence
from typing import Any

from zmqio.adapter.base import AdapterFactory
from zmqio.exceptions import ConfigError

__all__ = ["addresses_of", "make_adapter", "scheme_of"]


def make_adapter(address: str, **options: Any) -> AdapterFactory:
    """Return the adapter factory for an address.

    Args:
        address: one or more addresses of one scheme, separated by commas.
        options: options of `ZmqAdapter` or `NatsAdapter`.

    Raises:
        ConfigError: an address, its scheme or an option is invalid.
    """
    return _ADAPTERS[scheme_of(address)](address, options)


def addresses_of(text: str) -> Sequence[str]:
    """Return the addresses in a text, checked, without user and password.

    Raises:
        ConfigError: an address or its scheme is invalid, or there is none.
    """
    return _ADDRESSES[scheme_of(text)](text)


def scheme_of(text: str) -> str:
    """Return the scheme of the first address in a text.

    Raises:
        ConfigError: it is none of the schemes above.
    """
    scheme = text.strip().partition("://")[0].lower()
    if scheme not in _ADAPTERS:
        shown = text.rpartition("@")[2]  # without a password
        raise ConfigError(
            f"address {shown!r:.100} is neither that of a broker ('tcp://host:port', 'ipc://path') nor that of a "
            "NATS server ('nats://host:port', 'tls://host:port')"
        )
    return scheme


def _zmq_adapter(address: str, options: dict[str, Any]) -> AdapterFactory:
    from zmqio.zeromq.adapter import ZmqAdapter

    return ZmqAdapter(address, **options)


def _nats_adapter(address: str, options: dict[str, Any]) -> AdapterFactory:
    from zmqio.nats.adapter import NatsAdapter

    if options.pop("curve", None) is not None:
        raise ConfigError("curve holds keys for a ZeroMQ broker; for NATS use credentials or tls://")
    return NatsAdapter(address, **options)


def _zmq_addresses(text: str) -> Sequence[str]:
    from zmqio.zeromq.addresses import split_addresses

    return split_addresses(text)


def _nats_addresses(text: str) -> Sequence[str]:
    from zmqio.nats.addresses import parse_servers

    return tuple(map(str, parse_servers(text)))


_ADAPTERS: dict[str, Callable[[str, dict[str, Any]], AdapterFactory]] = {
    "tcp": _zmq_adapter,
    "ipc": _zmq_adapter,
    "nats": _nats_adapter,
    "tls": _nats_adapter,
}
_ADDRESSES: dict[str, Callable[[str], Sequence[str]]] = {
    "tcp": _zmq_addresses,
    "ipc": _zmq_addresses,
    "nats": _nats_addresses,
    "tls": _nats_addresses,
}
