"""All metrics of a node by name: kind, description, labels.

Pure: no value is kept here. docs/reference/metrics.md lists the same metrics; a test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from zmqio.metrics.counters import COUNTERS, counter_name

__all__ = ["METRICS", "Kind", "Metric"]

Kind: TypeAlias = Literal["counter", "gauge", "summary", "histogram"]
Merge: TypeAlias = Literal["sum", "min", "max"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        kind: its type in Prometheus.
        help: its description, one sentence.
        labels: names of its labels.
        merge: how the values of several servers in one process become one.
    """

    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    merge: Merge = "sum"


_GAUGES: Mapping[str, Metric] = {
    "zmqio_build_info": Metric("gauge", "Always 1; the label names the version of zmqio.", ("version",), "max"),
    "zmqio_ready": Metric("gauge", "1 if the node is ready (see /readyz), else 0.", merge="min"),
    "zmqio_sessions": Metric("gauge", "Open sessions by their current transport.", ("transport",)),
    "zmqio_sockets": Metric("gauge", "Sockets by namespace; all dynamic namespaces count as one.", ("namespace",)),
    "zmqio_rooms": Metric(
        "gauge",
        "Rooms with a member in this process, without the room that each socket has of its own.",
        ("namespace",),
    ),
    "zmqio_nodes": Metric("gauge", "Live nodes of the cluster, including this one.", merge="max"),
    "zmqio_brokers_connected": Metric(
        "gauge", "Brokers that are connected and have applied all subscriptions.", merge="min"
    ),
    "zmqio_brokers_ready": Metric("gauge", "Brokers that return this node's heartbeats.", merge="min"),
    "zmqio_replay_ring_bytes": Metric("gauge", "Size of the messages kept for other nodes."),
    "zmqio_replay_ring_messages": Metric("gauge", "Messages kept for other nodes."),
    "zmqio_unsent_messages": Metric("gauge", "Messages that wait for a broker."),
    "zmqio_replay_requests_open": Metric("gauge", "Nodes from which missed messages are requested now."),
    "zmqio_relay_requests_open": Metric("gauge", "Forwarded requests and WebSockets in progress, of both sides."),
}

METRICS: Mapping[str, Metric] = dict(_GAUGES) | {
    counter_name(part, counter): Metric("counter", text)
    for part, counters in COUNTERS.items()
    for counter, text in counters.items()
}
"""Name -> metric. Names of counters lack the suffix `_total`, with which they are exposed."""
