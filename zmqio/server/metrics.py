"""The metrics of a running server, read from the counters and states that exist anyway.

Reading takes the same time for any number of clients, rooms and messages: sizes and sums are looked up, never
counted. Labels have few values. All dynamic namespaces share one, because clients choose their names.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from zmqio.adapter.base import Health
from zmqio.metrics.samples import Sample, counter_samples
from zmqio.server.namespace import Namespace
from zmqio.server.parent import ChildNamespace

__all__ = ["DYNAMIC", "node_samples", "server_samples"]

DYNAMIC = "(dynamic)"
"""Value of the label `namespace` for all namespaces that a rule allowed."""


def server_samples(health: Health, websockets: int, namespaces: Iterable[Namespace]) -> Iterator[Sample]:
    """Yield the samples of one server.

    Args:
        health: the server's state. Without details (a server that does not run) there are few samples.
        websockets: number of sessions whose transport is WebSocket.
        namespaces: of the server.
    """
    yield Sample("zmqio_build_info", 1, (("version", _version()),))
    yield Sample("zmqio_ready", health.ready)
    details = health.details
    if "sessions" in details:
        yield Sample("zmqio_sessions", details["sessions"] - websockets, (("transport", "polling"),))
        yield Sample("zmqio_sessions", websockets, (("transport", "websocket"),))
        yield from _namespace_samples(namespaces)
        yield from _bus_samples(details)
        yield from counter_samples(details["counters"])


def node_samples(health: Health) -> Iterator[Sample]:
    """Yield the samples of a node whose clients another server serves: those of the bus."""
    yield Sample("zmqio_build_info", 1, (("version", _version()),))
    yield Sample("zmqio_ready", health.ready)
    yield from _bus_samples(health.details)
    yield from counter_samples(health.details["counters"])


def _namespace_samples(namespaces: Iterable[Namespace]) -> Iterator[Sample]:
    sockets: dict[str, int] = {}
    rooms: dict[str, int] = {}
    for namespace in namespaces:
        if not namespace.is_open:
            continue
        label = DYNAMIC if isinstance(namespace, ChildNamespace) else namespace.name
        count = len(namespace.sockets)
        sockets[label] = sockets.get(label, 0) + count
        rooms[label] = rooms.get(label, 0) + max(0, namespace.adapter.room_count() - count)
    for label, count in sockets.items():
        yield Sample("zmqio_sockets", count, (("namespace", label),))
    for label, count in rooms.items():
        yield Sample("zmqio_rooms", count, (("namespace", label),))


def _bus_samples(details: Mapping[str, Any]) -> Iterator[Sample]:
    yield Sample("zmqio_nodes", details.get("nodes", 1))
    if "replay" in details:
        replay = details["replay"]
        yield Sample("zmqio_brokers_connected", len(details["connected_brokers"]))
        yield Sample("zmqio_brokers_ready", len(details["ready_brokers"]))
        yield Sample("zmqio_replay_ring_bytes", replay["ring_bytes"])
        yield Sample("zmqio_replay_ring_messages", replay["ring_messages"])
        yield Sample("zmqio_unsent_messages", replay["ring_unsent_messages"])
        yield Sample("zmqio_replay_requests_open", replay["open_requests"])
    if "relay_requests_open" in details:
        yield Sample("zmqio_relay_requests_open", details["relay_requests_open"])


@cache
def _version() -> str:
    from importlib.metadata import version  # its imports take a twentieth of a node's start

    return version("zmqio")
