"""The metrics of a server as an ASGI app. Scrapes never start the server."""

from typing import Any

from zmqio.metrics.exposition import SampleCollector, check_installed, expose_in_steps
from zmqio.server.asgi_responses import Scope, Send, respond_to_get, respond_with_error
from zmqio.server.health_app import acknowledge_lifespan, path_below_mount

__all__ = ["METRICS_PATH", "MetricsApp"]

METRICS_PATH = "/metrics"


class MetricsApp:
    """Responds to GET and HEAD on one path with the metrics.

    Args:
        collector: returns the metrics.
        path: the path, below the mount point if the app is mounted; None responds on every path.

    Raises:
        ConfigError: prometheus-client is not installed.
    """

    def __init__(self, collector: SampleCollector, path: str | None = None) -> None:
        check_installed()
        self._collector = collector
        self._path = None if path is None else "/" + path.strip("/")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection. Lifespan events are acknowledged and have no effect."""
        if scope["type"] == "lifespan":
            await acknowledge_lifespan(receive, send)
        elif not await self.respond_if_metrics(scope, send):
            await respond_with_error(scope, receive, send, 404, "not found")

    async def respond_if_metrics(self, scope: Scope, send: Send) -> bool:
        """Respond if the request is for the metrics; return whether it was."""
        if scope["type"] != "http" or self._path not in (None, path_below_mount(scope)):
            return False
        accept = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"accept"), "")
        content_type, body = await expose_in_steps(self._collector, accept)
        headers = [(b"content-type", content_type.encode()), (b"cache-control", b"no-store")]
        await respond_to_get(scope, send, 200, headers, body)
        return True
