"""The four endpoints of a broker, derived from its base address.

Part of the wire contract: the broker's package derives the same four, and neither package imports the other.
"""

from dataclasses import dataclass

from zmqio.zeromq.addresses import split_addresses

__all__ = ["Endpoints", "endpoints_of"]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses of the sockets of one broker; each a ZeroMQ endpoint such as `tcp://127.0.0.1:5556`.

    Attributes:
        control: ROUTER; answers `hello` and `statistics` requests.
        publish: XSUB; nodes publish to it.
        subscribe: XPUB; nodes subscribe to it.
        ingest: PULL; external services push to it.
    """

    control: str
    publish: str
    subscribe: str
    ingest: str

    @property
    def host(self) -> str:
        """Host name or IP address common to the endpoints; empty for `ipc`."""
        if self.control.startswith("ipc://"):
            return ""
        return self.control.removeprefix("tcp://").rpartition(":")[0].strip("[]")


def endpoints_of(address: str) -> Endpoints:
    """Derive the endpoints of the broker at one base address.

    `tcp://host:port` stands for `port` and the next three ports. `ipc://path` stands for `path` (control),
    `path.publish`, `path.subscribe` and `path.ingest`.

    Raises:
        ConfigError: the address is neither.
    """
    (checked,) = split_addresses(address)
    if checked.startswith("ipc://"):
        return Endpoints(checked, f"{checked}.publish", f"{checked}.subscribe", f"{checked}.ingest")
    host, _, port = checked.rpartition(":")
    return Endpoints(*(f"{host}:{int(port) + offset}" for offset in range(4)))
