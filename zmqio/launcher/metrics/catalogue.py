"""The metrics of `zmqio serve` by name: of its workers (with the label `worker`), of itself and of its broker.

The metrics of the broker are named as by `zmqio broker --metrics`. The two packages never import each other; a
test compares the names.
"""

from collections.abc import Mapping
from dataclasses import replace

from zmqio.metrics.catalogue import METRICS, Metric

__all__ = ["BALANCER_METRICS", "BROKER_METRICS", "BROKER_PEER_METRICS", "OWN_METRICS", "SERVE_METRICS"]

OWN_METRICS: Mapping[str, Metric] = {
    "zmqio_worker_report_age_seconds": Metric(
        "gauge",
        "Seconds since the last report of a worker; high if it is stopped, or its event loop is blocked.",
        ("worker",),
    ),
    "zmqio_serve_workers_ready": Metric("gauge", "Workers that serve and send heartbeats.", ("worker",)),
    "zmqio_serve_worker_starts": Metric("counter", "Started worker processes.", ("worker",)),
    "zmqio_serve_worker_exits": Metric(
        "counter", "Workers that exited by themselves, crashed, or were killed by --worker-timeout.", ("worker",)
    ),
    "zmqio_serve_broker_up": Metric("gauge", "1 if the server's own broker responds, else 0."),
    "zmqio_serve_broker_starts": Metric("counter", "Starts of the server's own broker."),
}

BALANCER_METRICS: Mapping[str, Metric] = {
    f"zmqio_serve_{counter}": Metric("counter", text, ("acceptor",))
    for counter, text in {
        "connections_abandoned": "Connections that the client closed before its request head was complete.",
        "connections_accepted": "Connections accepted.",
        "connections_passed": "Connections passed to a worker.",
        "connections_rejected": "Connections answered with status 503 because no worker accepted them.",
        "heads_timed_out": "Connections closed because their request head took too long.",
        "heads_too_large": "Connections closed because their request head was too large.",
        "stalled_sessions_rejected": (
            "Connections answered with status 503 because the worker that owns their session was stalled."
        ),
    }.items()
}
"""The counters of the balancers."""

BROKER_METRICS: Mapping[str, tuple[str, Metric]] = {
    "uptime_s": ("zmqio_broker_uptime_seconds", Metric("gauge", "Seconds since the start.")),
    "frames_in": ("zmqio_broker_messages_received", Metric("counter", "Messages received from nodes.")),
    "bytes_in": ("zmqio_broker_bytes_received", Metric("counter", "Bytes received from nodes.")),
    "frames_out": ("zmqio_broker_messages_sent", Metric("counter", "Messages sent to nodes, before fan-out.")),
    "bytes_out": ("zmqio_broker_bytes_sent", Metric("counter", "Bytes sent to nodes, before fan-out.")),
    "ingest_frames": (
        "zmqio_broker_ingest_messages",
        Metric("counter", "Publish requests of outside publishers."),
    ),
    "ingest_bytes": ("zmqio_broker_ingest_bytes", Metric("counter", "Bytes received from outside publishers.")),
    "ingest_refused": (
        "zmqio_broker_ingest_refused",
        Metric("counter", "Messages of outside publishers that were refused."),
    ),
    "subscription_changes": (
        "zmqio_broker_subscription_changes",
        Metric("counter", "Subscriptions added and cancelled."),
    ),
    "sync_acks": ("zmqio_broker_sync_acks", Metric("counter", "Acknowledged rounds of subscriptions.")),
    "control_requests": (
        "zmqio_broker_control_requests",
        Metric("counter", "Control requests that were answered."),
    ),
    "control_rejections": (
        "zmqio_broker_control_rejections",
        Metric("counter", "Control requests that were rejected."),
    ),
    "topics": ("zmqio_broker_topics", Metric("gauge", "Different topics that nodes subscribe to.")),
    "connections_closed": (
        "zmqio_broker_connections_closed",
        Metric("counter", "Connections closed because they took too much memory."),
    ),
    "keys_rejected": (
        "zmqio_broker_keys_rejected",
        Metric("counter", "Connections refused because of their key."),
    ),
}
"""Name in the broker's statistics -> (name, metric)."""

BROKER_PEER_METRICS: Mapping[str, tuple[str, Metric]] = {
    name: (
        f"zmqio_broker_peers_{name}",
        Metric("gauge" if name == "connected" else "counter", text, ("endpoint",)),
    )
    for name, text in {
        "connected": "Connections open now, by endpoint.",
        "connects": "Connections that completed the handshake.",
        "disconnects": "Connections that ended after the handshake.",
        "rejections": "Connections that ended before the handshake.",
        "accept_failures": "Connections that could not be accepted.",
    }.items()
}
"""Name in the statistics of one endpoint of the broker -> (name, metric)."""

SERVE_METRICS: Mapping[str, Metric] = {
    **{name: replace(metric, labels=("worker", *metric.labels)) for name, metric in METRICS.items()},
    **OWN_METRICS,
    **BALANCER_METRICS,
    **dict(BROKER_METRICS.values()),
    **dict(BROKER_PEER_METRICS.values()),
}
