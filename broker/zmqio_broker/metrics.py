"""The statistics of the broker for Prometheus, over HTTP in a thread of its own.

The thread serves the statistics that the main thread read last, at most half a second ago, so a scrape never
reaches the threads that forward messages. It serves one request at a time, and ends one that takes too long.
"""

import socket
import threading
from collections.abc import Iterator
from http.server import HTTPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

__all__ = ["METRICS", "MetricsServer", "StatisticsCollector", "parse_address"]

REQUEST_TIMEOUT_S = 5.0
"""Seconds without data after which a request is ended: others wait behind it."""

METRICS = {
    "zmqio_broker_uptime_seconds": ("gauge", "Seconds since the start.", "uptime_s"),
    "zmqio_broker_messages_received": ("counter", "Messages received from nodes.", "frames_in"),
    "zmqio_broker_bytes_received": ("counter", "Bytes received from nodes.", "bytes_in"),
    "zmqio_broker_messages_sent": ("counter", "Messages sent to nodes, before fan-out.", "frames_out"),
    "zmqio_broker_bytes_sent": ("counter", "Bytes sent to nodes, before fan-out.", "bytes_out"),
    "zmqio_broker_ingest_messages": ("counter", "Publish requests of outside publishers.", "ingest_frames"),
    "zmqio_broker_ingest_bytes": ("counter", "Bytes received from outside publishers.", "ingest_bytes"),
    "zmqio_broker_ingest_refused": (
        "counter",
        "Messages of outside publishers that were refused.",
        "ingest_refused",
    ),
    "zmqio_broker_subscription_changes": (
        "counter",
        "Subscriptions added and cancelled.",
        "subscription_changes",
    ),
    "zmqio_broker_sync_acks": ("counter", "Acknowledged rounds of subscriptions.", "sync_acks"),
    "zmqio_broker_control_requests": ("counter", "Control requests that were answered.", "control_requests"),
    "zmqio_broker_control_rejections": ("counter", "Control requests that were rejected.", "control_rejections"),
    "zmqio_broker_topics": ("gauge", "Different topics that nodes subscribe to.", "topics"),
    "zmqio_broker_connections_closed": (
        "counter",
        "Connections closed because they took too much memory.",
        "connections_closed",
    ),
    "zmqio_broker_keys_rejected": ("counter", "Connections refused because of their key.", "keys_rejected"),
}
"""Metric -> (kind, description, name in the statistics)."""

PEER_METRICS = {
    "zmqio_broker_peers_connected": ("gauge", "Connections open now, by endpoint.", "connected"),
    "zmqio_broker_peers_connects": ("counter", "Connections that completed the handshake.", "connects"),
    "zmqio_broker_peers_disconnects": ("counter", "Connections that ended after the handshake.", "disconnects"),
    "zmqio_broker_peers_rejections": ("counter", "Connections that ended before the handshake.", "rejections"),
    "zmqio_broker_peers_accept_failures": (
        "counter",
        "Connections that could not be accepted.",
        "accept_failures",
    ),
}
"""The same of each endpoint, with its name as the label `endpoint`."""


def parse_address(text: str) -> tuple[str, int]:
    """Parse HOST:PORT, or PORT alone for this machine only.

    Raises:
        ValueError: the text is neither.
    """
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 <= int(port) < 1 << 16:
        raise ValueError(f"{text!r} is neither PORT nor HOST:PORT, for example 9100 or 10.0.0.5:9100")
    return host.strip("[]") or "127.0.0.1", int(port)


class StatisticsCollector:
    """A collector of prometheus-client.

    Attributes:
        statistics: as the control endpoint shows them; nothing is exposed before the first.
    """

    def __init__(self) -> None:
        self.statistics: dict[str, Any] = {}

    def collect(self) -> Iterator[Any]:
        """Yield each metric."""
        from prometheus_client import Metric

        statistics = self.statistics
        if not statistics:
            return
        for name, (kind, text, key) in METRICS.items():
            metric = Metric(name, text, kind)
            metric.add_sample(name + _suffix(kind), {}, statistics[key])
            yield metric
        for name, (kind, text, key) in PEER_METRICS.items():
            metric = Metric(name, text, kind)
            for endpoint, counts in statistics["peers"].items():
                metric.add_sample(name + _suffix(kind), {"endpoint": endpoint}, counts[key])
            yield metric


class MetricsServer:
    """Serves the metrics to GET requests on every path.

    Args:
        host, port: to listen on; port 0 takes a free one.

    Attributes:
        collector: holds the statistics that are served.

    Raises:
        OSError: the address cannot be bound.
        ImportError: prometheus-client is not installed.
    """

    def __init__(self, host: str, port: int) -> None:
        from prometheus_client import make_wsgi_app

        self.collector = StatisticsCollector()
        source: Any = self.collector  # anything with `collect`
        self._server = (_Ipv6Server if ":" in host else _QuietServer)((host, port), _Handler)
        self._server.set_app(make_wsgi_app(source))
        # daemon: a request must not keep the process alive.
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening, after the request in progress."""
        self._server.shutdown()
        self._server.server_close()


class _QuietServer(WSGIServer):
    def server_bind(self) -> None:
        HTTPServer.server_bind(self)
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: clients that disconnect or send no HTTP are no fault of the broker."""


class _Ipv6Server(_QuietServer):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: scrapes come all the time."""


def _suffix(kind: str) -> str:
    return "_total" if kind == "counter" else ""
