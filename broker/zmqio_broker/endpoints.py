"""The four endpoints of a broker, made from one base address. Pure.

`tcp://host:5555` gives control 5555, publish 5556, subscribe 5557 and ingest 5558. `ipc://path` gives the path
itself for control and `path.publish`, `path.subscribe`, `path.ingest`.
"""

import os
from dataclasses import dataclass

__all__ = ["ROLES", "AddressError", "Endpoints"]

ROLES = ("control", "publish", "subscribe", "ingest")
"""In the order of their tcp ports."""

_LAST_BASE_PORT = 65_536 - len(ROLES)
# sockaddr_un.sun_path of Linux has room for 107 bytes and a NUL.
_LONGEST_PATH_BYTES = 107


class AddressError(ValueError):
    """A base address that no broker can bind; the text says what would work."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """ZeroMQ addresses to bind, by role; all of one scheme."""

    control: str
    publish: str
    subscribe: str
    ingest: str

    @classmethod
    def from_base(cls, address: str) -> "Endpoints":
        """Make the four addresses.

        Args:
            address: `tcp://host:port` (port 1 to 65532; `*` as the host means every interface; IPv6 in brackets)
                or `ipc://path` (the longest of the four paths has at most 107 bytes).

        Raises:
            AddressError: it is neither.
        """
        scheme, _, rest = address.partition("://")
        if scheme == "tcp":
            return cls(*_tcp_addresses(address, rest))
        if scheme == "ipc":
            return cls(*_ipc_addresses(address, rest))
        raise AddressError(f"{address!r} is not a broker address; write 'tcp://host:port' or 'ipc://path'")

    def by_role(self) -> dict[str, str]:
        """The addresses as a mapping in the order of `ROLES`."""
        return {role: getattr(self, role) for role in ROLES}

    def is_tcp(self) -> bool:
        """Whether these are tcp ports; ipc paths otherwise."""
        return self.control.startswith("tcp://")

    def advertised(self) -> dict[str, dict[str, int] | dict[str, str]]:
        """What the control hello says: `{"ports": {role: port}}` or `{"paths": {role: path}}`.

        Never hosts: a node reaches the broker by the host that it was given, and what the broker binds
        (`0.0.0.0`, an address inside a container) may be no address for anybody else.
        """
        if self.is_tcp():
            return {"ports": {role: int(a.rpartition(":")[2]) for role, a in self.by_role().items()}}
        return {"paths": {role: a.removeprefix("ipc://") for role, a in self.by_role().items()}}


def _tcp_addresses(address: str, rest: str) -> list[str]:
    host, _, port = rest.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= _LAST_BASE_PORT:
        raise AddressError(
            f"{address!r} has to be 'tcp://host:port' with a port from 1 to {_LAST_BASE_PORT}; "
            "the three ports after it are the broker's too"
        )
    return [f"tcp://{host}:{int(port) + offset}" for offset in range(len(ROLES))]


def _ipc_addresses(address: str, path: str) -> list[str]:
    if not path:
        raise AddressError(f"{address!r} has no path; write for example 'ipc:///run/zmqio/broker'")
    paths = [path, *(f"{path}.{role}" for role in ROLES[1:])]
    longest = max(len(os.fsencode(candidate)) for candidate in paths)
    if longest > _LONGEST_PATH_BYTES:
        raise AddressError(
            f"{address!r} is too long: the longest of its four paths has {longest} bytes, a Unix socket's may "
            f"have {_LONGEST_PATH_BYTES}; choose a path that is {longest - _LONGEST_PATH_BYTES} bytes shorter"
        )
    return [f"ipc://{candidate}" for candidate in paths]
