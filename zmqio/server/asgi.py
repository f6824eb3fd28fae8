"""The ASGI app: passes Socket.IO requests to the engine, answers probes and scrapes, passes the rest on.

Source: https://asgi.readthedocs.io/en/latest/specs/ (HTTP, WebSocket, lifespan)
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from zmqio.client import FILE_NAMES
from zmqio.config import EngineOptions
from zmqio.engine.server import Engine
from zmqio.exceptions import ServerClosedError
from zmqio.logger import get_logger
from zmqio.server.asgi_responses import Receive, Scope, Send, respond_with_error
from zmqio.server.client_app import ClientApp
from zmqio.server.health_app import HealthApp
from zmqio.server.metrics_app import MetricsApp

__all__ = ["AsgiApp", "AsgiCallable", "AsgiHost"]

log = get_logger(__name__)

AsgiCallable: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]


class AsgiHost(Protocol):
    """The part of the server that the app uses."""

    @property
    def engine(self) -> Engine:
        """The Engine.IO server; exists once the node has started."""

    async def ready(self) -> None:
        """Start the node unless it runs; raises `ServerClosedError` if it was closed."""

    async def start(self) -> None:
        """Start the node unless it runs, also if it was closed."""

    async def close(self, drain_s: float | None = None) -> None:
        """Stop the node; with 0, all clients are disconnected at once."""


class AsgiApp:
    """Serves Socket.IO and the browser client.

    Args:
        host: the server.
        other_app: receives every request that is not for Socket.IO; with None, such a request is answered with
            404.
        path: the path of Socket.IO. With None, every request is for Socket.IO.
        health: the health routes; they take precedence over everything else.
        metrics: the metrics; their path takes precedence over Socket.IO and `other_app`.
        client: the files of the browser client; by default only for pages of the same origin.
    """

    def __init__(
        self,
        host: AsgiHost,
        other_app: AsgiCallable | None = None,
        *,
        path: str | None = "/socket.io",
        health: HealthApp | None = None,
        metrics: MetricsApp | None = None,
        client: ClientApp | None = None,
    ) -> None:
        self._host = host
        self._other_app = other_app
        self._health = health
        self._metrics = metrics
        self._client = client or ClientApp(EngineOptions())
        self._path = None if path is None else "/" + path.strip("/")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection, or the lifespan."""
        if scope["type"] == "lifespan":
            await _Lifespan(self._host, self._other_app, scope).run(receive, send)
            return
        if self._health is not None and await self._health.respond_if_health(scope, receive, send):
            return
        if self._metrics is not None and await self._metrics.respond_if_metrics(scope, send):
            return
        subpath = self._subpath(scope)
        if subpath is None:
            await self._pass_to_other_app(scope, receive, send)
        elif self._client.serves(scope, subpath):
            await self._client.respond(scope, send, subpath)
        elif await self._is_ready(scope, receive, send):
            await self._host.engine.handle(scope, receive, send)

    async def _is_ready(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Start the node unless it runs; respond with 503 and return False if it was closed."""
        try:
            await self._host.ready()
        except ServerClosedError:
            await respond_with_error(scope, receive, send, 503, "the server is shutting down")
            return False
        return True

    def _subpath(self, scope: Scope) -> str | None:
        """Return the part of the path that follows the Socket.IO path; None if the request is not for Socket.IO.

        Frameworks that mount an app state the mount point in `root_path`. Some of them also remove it from `path`.
        If the app is mounted, the mount point itself also serves Socket.IO.
        """
        full: str = scope["path"]
        if self._path is None:
            return full
        mount: str = scope.get("root_path", "").rstrip("/")
        inner = full[len(mount) :] if mount and full.startswith(mount + "/") else full
        for candidate in (inner, full):
            if candidate == self._path or candidate.startswith(self._path + "/"):
                return candidate[len(self._path) :]
        if mount and self._other_app is None and inner.strip("/") in ("", *FILE_NAMES):
            return inner
        return None

    async def _pass_to_other_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._other_app is not None:
            await self._other_app(scope, receive, send)
        else:
            message = f"not found; Socket.IO is served at {self._path}/"
            await respond_with_error(scope, receive, send, 404, message)


class _Lifespan:
    """Starts and stops the node together with the other app, whether that app supports lifespan or not."""

    def __init__(self, host: AsgiHost, other_app: AsgiCallable | None, scope: Scope) -> None:
        self._host = host
        self._other_app = other_app
        self._scope = scope
        self._startup_received = False
        self._startup_answered = False
        self._ended = False

    async def run(self, receive: Receive, send: Send) -> None:
        if self._other_app is not None:
            try:
                await self._other_app(self._scope, self._receive_from(receive), self._send_to(send))
            except Exception as error:
                if self._startup_answered:
                    raise
                log.debug("other_app_lifespan_unsupported", error=str(error))
        if not self._ended:
            await self._run_alone(receive, send)

    def _receive_from(self, receive: Receive) -> Receive:
        async def wrapped() -> Any:
            message = await receive()
            self._startup_received = True
            if message["type"] == "lifespan.shutdown":
                self._ended = True
                await self._stop_host()
            return message

        return wrapped

    def _send_to(self, send: Send) -> Send:
        async def wrapped(message: Any) -> None:
            if not message["type"].startswith("lifespan."):  # an app that answers everything as a request
                raise RuntimeError(f"the other app answered the lifespan with {message['type']!r}")
            if message["type"] == "lifespan.startup.complete":
                await self._host.start()
            self._startup_answered = True
            self._ended = self._ended or message["type"] == "lifespan.startup.failed"
            await send(message)

        return wrapped

    async def _run_alone(self, receive: Receive, send: Send) -> None:
        if not self._startup_answered:
            await self._start_alone(receive, send)
        while (await receive())["type"] != "lifespan.shutdown":
            pass
        await self._stop_host()
        await send({"type": "lifespan.shutdown.complete"})

    async def _stop_host(self) -> None:
        # Without a drain: the shutdown message comes after the host has closed all connections.
        await self._host.close(drain_s=0)

    async def _start_alone(self, receive: Receive, send: Send) -> None:
        if not self._startup_received:
            await receive()
        try:
            await self._host.start()
        except Exception as error:
            log.exception("node_start_failed")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.startup.complete"})
