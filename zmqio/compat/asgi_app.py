"""`ASGIApp`: serves an `AsyncServer`, static files and another app."""

from collections.abc import Callable, Mapping
from typing import Any

from zmqio.compat.async_server import AsyncServer
from zmqio.compat.static_files import StaticFileApp, StaticFileRule
from zmqio.exceptions import ConfigError
from zmqio.server.asgi import AsgiApp, AsgiCallable

__all__ = ["ASGIApp"]


class ASGIApp:
    """The ASGI app of an `AsyncServer`.

    Args:
        socketio_server: the server.
        other_asgi_app: an app that receives every other request, and the lifespan events.
        static_files: path of a URL -> file or folder; see `StaticFileApp`.
        socketio_path: the path of Socket.IO; with None, every path is served by Socket.IO.
        on_startup: a function without arguments, plain or async, that is called when the node has started; as
            `zmqio.Server.on_start`.
        on_shutdown: such a function that is called before the node leaves the cluster; as `zmqio.Server.on_stop`.

    Raises:
        ConfigError: the server is not one of `zmqio.compat`.
        TypeError: a function requires arguments.
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
        io = socketio_server.io
        if on_startup is not None:
            io.on_start(on_startup)
        if on_shutdown is not None:
            io.on_stop(on_shutdown)
        self._app = AsgiApp(io, other, path=socketio_path, client=io.client_app)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection, or the lifespan."""
        await self._app(scope, receive, send)
