"""The server that a bus over NATS is connected to, for observers: NATS gives its clients no statistics."""

from collections.abc import Callable, Mapping
from typing import Any

from zmqio.nats.bus import NatsBus

__all__ = ["ServerStatus"]


class ServerStatus:
    """Reports whether the bus is connected (`zmqio.buses.BrokerMonitor`).

    Args:
        bus: the bus.
        received: called with `server`, a text with the release and the number of servers; with an empty map
            while the bus is not ready.
    """

    def __init__(self, bus: NatsBus, received: Callable[[Mapping[str, Any]], None]) -> None:
        self._bus = bus
        self._received = received

    @property
    def problem(self) -> str:
        """Why the bus is not ready, and what else is wrong; empty if all is well."""
        return "; ".join(self._bus.problems)

    def ask(self) -> None:
        """Report now."""
        info = self._bus.server_info
        if info is None:
            self._received({})
            return
        servers = max(len(info.urls), 1)
        release = ".".join(map(str, info.version))
        self._received({"server": f"NATS {release}, {servers} server{'' if servers == 1 else 's'}"})

    def close(self) -> None:
        """Do nothing: the bus belongs to the observer."""
