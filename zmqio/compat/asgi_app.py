"""`ASGIApp`: serves an `AsyncServer`, static files and another app."""

from collections.abc import Callable, Mapping
from typing import Any

from zmqio.compat.async_server import AsyncServer
from zmqio.compat.static_files import StaticFileApp, StaticFileRule
from zmqio.engine.server import Engine
from zmqio.exceptions import ConfigError
from zmqio.server.asgi import AsgiApp, AsgiCallable
from zmqio.server.handlers import call

__all__ = ["ASGIApp"]


class ASGIApp:
    """The ASGI app of an `AsyncServer`.

    Args:
        socketio_server: the server.
        other_asgi_app: an app that receives every other request, and the lifespan events.
        static_files: path of a URL -> file or folder; see `StaticFileApp`.
        socketio_path: the path of Socket.IO. None: every request is one of Socket.IO.
        on_startup: a function without arguments, plain or async, that is called when the node has started.
        on_shutdown: the same, before the node stops.

    Raises:
        ConfigError: the server is not one of `zmqio.compat`.
    """

    def __init__(
        self,
        socketio_server: AsyncServer,
        other_asgi_app: AsgiCallable | None = None,
        static_files: Mapping[str, StaticFileRule] | None = None,
        socketio_path: str | None = "socket.io",
        on_startup: Callable[[], Any] | None = None,
        on_shutdown: Callable[[], Any] | None = None,
    ) -> None:
        if not isinstance(socketio_server, AsyncServer):
            raise ConfigError(f"ASGIApp needs an AsyncServer of zmqio.compat, not {socketio_server!r:.80}")
        other = StaticFileApp(static_files, other_asgi_app) if static_files else other_asgi_app
        host = _Host(socketio_server, on_startup, on_shutdown)
        self._app = AsgiApp(host, other, path=socketio_path, client=socketio_server.io.client_app)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection, or the lifespan."""
        await self._app(scope, receive, send)


class _Host:
    """The server with the functions of its application (`AsgiHost`)."""

    def __init__(
        self, server: AsyncServer, on_startup: Callable[[], Any] | None, on_shutdown: Callable[[], Any] | None
    ) -> None:
        self._server = server
        self._on_startup = on_startup
        self._on_shutdown = on_shutdown

    @property
    def engine(self) -> Engine:
        return self._server.io.engine

    async def ready(self) -> None:
        await self._server.io.ready()

    async def start(self) -> None:
        await self._server.start()
        if self._on_startup is not None:
            await call(self._on_startup)

    async def close(self, drain_s: float | None = None) -> None:
        if self._on_shutdown is not None:
            await call(self._on_shutdown)
        await self._server.close(drain_s)
