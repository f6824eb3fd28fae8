"""The four endpoints of a broker, derived from its one base address.

The broker's own package derives the same; the two never import each other, so the rule is the wire's.

Source: DESIGN, section 4 ("Four broker endpoints").
"""

from dataclasses import dataclass

from zmqio.config import split_addresses

__all__ = ["Endpoints", "endpoints_of"]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the sockets of one broker are bound; each a ZeroMQ endpoint such as `tcp://127.0.0.1:5556`.

    Attributes:
        control: ROUTER; answers hellos and questions for statistics.
        publish: XSUB; nodes publish to it.
        subscribe: XPUB; nodes subscribe at it.
        ingest: PULL; outside services push to it.
    """

    control: str
    publish: str
    subscribe: str
    ingest: str


def endpoints_of(address: str) -> Endpoints:
    """Derive the endpoints of the broker at one base address.

    `tcp://host:port` means `port` and the three after it; `ipc://path` means the path itself for control, then
    `path.publish`, `path.subscribe` and `path.ingest`.

    Raises:
        ConfigError: the address is neither.
    """
    (checked,) = split_addresses(address)
    if checked.startswith("ipc://"):
        return Endpoints(checked, f"{checked}.publish", f"{checked}.subscribe", f"{checked}.ingest")
    host, _, port = checked.rpartition(":")
    return Endpoints(*(f"{host}:{int(port) + offset}" for offset in range(4)))
