"""The statistics of one node for the admin page, read from the counters that exist anyway.

Source: `initStatsEmitter` and `registerEngineListeners` of @socket.io/admin-ui 0.5.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from zmqio.server.namespace import Namespace

__all__ = ["MAX_NAMESPACES", "Activity", "namespace_sizes"]

MAX_NAMESPACES = 100
"""Namespaces that are listed, the largest first: clients may create dynamic ones at will."""
OTHERS = "(others)"
SERIES = {
    "rawConnection": "sessions_opened",
    "rawDisconnection": "sessions_closed",
    "packetsIn": "events_received",
    "packetsOut": "events_sent",
    "bytesIn": "bytes_received",
    "bytesOut": "bytes_sent",
}
"""Series of the page's diagrams -> counter. zmqio counts events where the JavaScript server counts packets."""


class Activity:
    """The increase of the counters since the last look."""

    def __init__(self) -> None:
        self._last: dict[str, int] | None = None

    def take(self, counters: Mapping[str, int], now_s: float) -> list[dict[str, Any]]:
        """Return the increase of each series; empty at the first call.

        Args:
            counters: of the engine and the server.
            now_s: seconds since 1970.
        """
        values = {series: counters.get(counter, 0) for series, counter in SERIES.items()}
        last, self._last = self._last or values, values
        timestamp = int(now_s) * 1_000
        return [
            {"timestamp": timestamp, "type": series, "count": value - last[series]}
            for series, value in values.items()
            if value > last[series]
        ]

    def forget(self) -> None:
        """Start again: the counters have not been read for a while."""
        self._last = None


def namespace_sizes(namespaces: Iterable[Namespace]) -> list[dict[str, Any]]:
    """List the open namespaces with the number of their sockets in this process."""
    sizes = {namespace.name: len(namespace.sockets) for namespace in namespaces if namespace.is_open}
    names = sorted(sizes, key=lambda name: (-sizes[name], name))
    listed = [{"name": name, "socketsCount": sizes[name]} for name in names[:MAX_NAMESPACES]]
    if len(names) > MAX_NAMESPACES:
        listed.append({"name": OTHERS, "socketsCount": sum(sizes[name] for name in names[MAX_NAMESPACES:])})
    return listed
