"""The four endpoints of a broker, derived from one base address. Pure.

`tcp://host:5555` gives control 5555, publish 5556, subscribe 5557 and ingest 5558. `ipc://path` gives the path
itself for control, and `path.publish`, `path.subscribe` and `path.ingest`.
"""

import os
from dataclasses import dataclass

__all__ = ["ROLES", "AddressError", "BrokerEndpoints"]

ROLES = ("control", "publish", "subscribe", "ingest")
"""In the order of their tcp ports."""

_LAST_BASE_PORT = 65_536 - len(ROLES)
# Source: unix(7). sockaddr_un.sun_path on Linux has room for 107 bytes and a NUL.
_MAX_PATH_BYTES = 107


class AddressError(ValueError):
    """A base address that no broker can bind; the text says what would work."""


@dataclass(frozen=True, slots=True)
class BrokerEndpoints:
    """ZeroMQ addresses to bind, by role, all with the same scheme."""

    control: str
    publish: str
    subscribe: str
    ingest: str

    @classmethod
    def from_base(cls, address: str) -> "BrokerEndpoints":
        """Derive the four addresses.

        Args:
            address: `tcp://host:port` (port 1 to 65532; host `*` for every interface, IPv4 and IPv6; an IPv6
                address in brackets) or `ipc://path` (the longest of the four paths has at most 107 bytes).

        Raises:
            AddressError: the address has neither form.
        """
        scheme, _, rest = address.partition("://")
        if scheme == "tcp":
            return cls(*_tcp_addresses(address, rest))
        if scheme == "ipc":
            return cls(*_ipc_addresses(address, rest))
        raise AddressError(f"{address!r} is not a broker address; write 'tcp://host:port' or 'ipc://path'")

    def by_role(self) -> dict[str, str]:
        """Return the addresses as a mapping, in the order of `ROLES`."""
        return {role: getattr(self, role) for role in ROLES}

    def is_tcp(self) -> bool:
        """Whether these are tcp ports; otherwise they are ipc paths."""
        return self.control.startswith("tcp://")

    def advertised(self) -> dict[str, dict[str, int] | dict[str, str]]:
        """Return the addresses for the hello response: `{"ports": {role: port}}` or `{"paths": {role: path}}`.

        Hosts are left out: a node reaches the broker by the host in its own configuration. The bound host
        (`0.0.0.0`, an address inside a container) may be unreachable from elsewhere.
        """
        if self.is_tcp():
            return {"ports": {role: int(a.rpartition(":")[2]) for role, a in self.by_role().items()}}
        return {"paths": {role: a.removeprefix("ipc://") for role, a in self.by_role().items()}}


def _tcp_addresses(address: str, rest: str) -> list[str]:
    host, _, port = rest.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= _LAST_BASE_PORT:
        raise AddressError(
            f"{address!r} is not 'tcp://host:port' with a port from 1 to {_LAST_BASE_PORT}; "
            "the broker also uses the three ports after it"
        )
    return [f"tcp://{host}:{int(port) + offset}" for offset in range(len(ROLES))]


def _ipc_addresses(address: str, path: str) -> list[str]:
    if not path:
        raise AddressError(f"{address!r} has no path; write for example 'ipc:///run/zmqio/broker'")
    paths = [path, *(f"{path}.{role}" for role in ROLES[1:])]
    longest = max(len(os.fsencode(candidate)) for candidate in paths)
    if longest > _MAX_PATH_BYTES:
        raise AddressError(
            f"{address!r} is too long: the longest of its four socket paths has {longest} bytes and the system "
            f"allows {_MAX_PATH_BYTES}; choose a path that is {longest - _MAX_PATH_BYTES} bytes shorter"
        )
    return [f"ipc://{candidate}" for candidate in paths]
