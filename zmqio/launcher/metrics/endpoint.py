"""Serves the metrics of `zmqio serve` over HTTP in the parent, and keeps its broker's statistics current.

Metrics are formatted in short steps, because the parent may accept connections, too.
"""

import asyncio
from collections.abc import Callable, Mapping
from socket import socket
from typing import Any

from zmqio.launcher.metrics.catalogue import SERVE_METRICS
from zmqio.launcher.metrics.serve_metrics import ServeMetrics
from zmqio.metrics.exposition import SampleCollector, expose_in_steps
from zmqio.zeromq.broker_statistics import BrokerStatistics

__all__ = ["MetricsEndpoint", "serve_metrics", "watch_broker"]

ASK_INTERVAL_S = 0.5
"""Seconds between two requests for the statistics of the broker."""


async def serve_metrics(metrics: ServeMetrics, listener: socket) -> None:
    """Serve until cancelled; the listener is closed then."""
    from zmqio.hosting.side_server import serve_beside  # imports uvicorn, which the parent does not need otherwise

    await serve_beside(MetricsEndpoint(metrics), listener)


async def watch_broker(address: str, received: Callable[[Mapping[str, Any]], None]) -> None:
    """Ask a broker that needs no keys for its statistics again and again; runs until cancelled.

    Args:
        address: base address of the broker.
        received: called with each response; with an empty map when the connection is lost.
    """
    statistics = BrokerStatistics(asyncio.get_running_loop(), address, received)
    try:
        while True:
            statistics.ask()
            await asyncio.sleep(ASK_INTERVAL_S)
    finally:
        statistics.close()


class MetricsEndpoint:
    """An ASGI app that responds to GET and HEAD on every path."""

    def __init__(self, metrics: ServeMetrics) -> None:
        self._collector = SampleCollector(metrics.samples, SERVE_METRICS)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        headers, body, status = [(b"allow", b"GET, HEAD")], b"", 405
        if scope["method"] in ("GET", "HEAD"):
            accept = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"accept"), "")
            content_type, body = await expose_in_steps(self._collector, accept)
            headers, status = [(b"content-type", content_type.encode()), (b"cache-control", b"no-store")], 200
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
