"""Addresses of brokers: `tcp://host:port` and `ipc://path`, several separated by commas. Text only."""

import os

from zmqio.exceptions import ConfigError

__all__ = ["split_addresses"]

BROKER_PORTS = 4
UNIX_PATH_BYTES = 107
"""Longest path of a Unix socket. Source: unix(7)."""


def split_addresses(text: str) -> tuple[str, ...]:
    """Split "tcp://a:5555,tcp://b:5555" into checked broker addresses.

    Raises:
        ConfigError: an address is neither `tcp://host:port` nor `ipc://path`, or there is no address.
    """
    addresses = tuple(part.strip() for part in text.split(",") if part.strip())
    if not addresses:
        raise ConfigError("no broker address given; write for example 'tcp://127.0.0.1:5555'")
    for address in addresses:
        _check_address(address)
    return addresses


def _check_address(address: str) -> None:
    scheme, _, rest = address.partition("://")
    if scheme == "ipc" and rest:
        _check_path(address, rest)
        return
    host, _, port = rest.rpartition(":")
    last_port = 65_536 - BROKER_PORTS
    if scheme == "tcp" and host and port.isdecimal() and 0 < int(port) <= last_port:
        return
    raise ConfigError(
        f"broker address {address!r} is neither 'tcp://host:port' nor 'ipc://path'; the port must be from 1 to "
        f"{last_port}, because the broker also uses the three ports after it"
    )


def _check_path(address: str, path: str) -> None:
    size = len(os.fsencode(path)) + len(".subscribe")
    if size > UNIX_PATH_BYTES:
        raise ConfigError(
            f"broker address {address!r} is too long: its socket paths have {size} bytes and the system allows "
            f"{UNIX_PATH_BYTES}; choose a shorter path"
        )
