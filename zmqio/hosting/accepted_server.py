"""Serve an ASGI app with uvicorn on connections that another process has accepted.

Uvicorn's server runs without a listening socket. Each connection gets a protocol from the factory that uvicorn
would pass to `create_server`. Uvicorn's protocols register themselves in a set while they are open; an upgrade to
WebSocket leaves and re-enters it in one step. Each source of connections has such a set of its own, which shows
how many of its connections are closed.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from zmqio.hosting.access_log import AccessLog
from zmqio.hosting.options import HttpOptions
from zmqio.hosting.quiet_server import wake_once_a_second
from zmqio.hosting.server import freeze_heap, make_config
from zmqio.hosting.uvicorn_contract import require_lifespan_state, require_server
from zmqio.logger import get_logger

__all__ = ["AcceptedServer", "ConnectionSource"]

log = get_logger(__name__)

TLS_HANDSHAKE_TIMEOUT_S = 10.0
"""Seconds that a TLS handshake may take; after that the connection is closed."""


class AcceptedServer:
    """A uvicorn server that gets its connections from sources.

    Args:
        app: an ASGI app.
        options: how connections are served.
        on_started: called once when the app's lifespan has started and the event loop runs.
        before_shutdown: awaited once after a stop signal, before uvicorn shuts down. Until it returns, connections
            are still accepted from the sources.
        on_stopped: called once after that, when all connections and the app's lifespan have ended. The stop signal
            may end the process before `serve` returns.

    Raises:
        ServeError: the installed uvicorn lacks a name that this class needs (see `uvicorn_contract`).
    """

    def __init__(
        self,
        app: Any,
        options: HttpOptions,
        *,
        on_started: Callable[[], None],
        before_shutdown: Callable[[], Awaitable[None]],
        on_stopped: Callable[[], None] = lambda: None,
    ) -> None:
        require_server()
        wake_once_a_second()
        config = make_config(
            AccessLog(app) if options.access_log else app,
            forwarded_allow_ips=options.trusted_proxies,
            ssl_certfile=options.ssl_certfile or None,
            ssl_keyfile=options.ssl_keyfile or None,
        )
        self._server = _UvicornWithoutListener(config, on_started, before_shutdown, on_stopped)

    def add_source(self, on_closed: Callable[[int], None]) -> "ConnectionSource":
        """Add a source of connections.

        Args:
            on_closed: called soon after connections of this source were closed, with their number.
        """
        return ConnectionSource(self._server, on_closed)

    async def serve(self) -> None:
        """Serve until SIGINT or SIGTERM.

        Raises:
            SystemExit: the app's lifespan failed to start; uvicorn has logged the reason.
            ServeError: the installed uvicorn lacks a name that is found out only now.
        """
        await self._server.serve(sockets=[])
        for task in self._server.starting:  # unfinished TLS handshakes
            task.cancel()
        await asyncio.gather(*self._server.starting, return_exceptions=True)


class ConnectionSource:
    """Passes connections to a server and reports how many of them are closed.

    Created by `AcceptedServer.add_source`.
    """

    def __init__(self, server: "_UvicornWithoutListener", on_closed: Callable[[int], None]) -> None:
        self._server = server
        self._on_closed = on_closed
        self._open = _ConnectionSet(server.server_state.connections, self._report_soon)
        self._state = _SourceState(server.server_state, self._open)
        self._received = self._starting = self._reported = 0
        self._report_scheduled = False

    def serve(self, connection: socket.socket) -> None:
        """Serve a connection, which belongs to the server from now on."""
        self._received += 1
        self._starting += 1
        connection.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._start(connection))
        self._server.starting.add(task)
        task.add_done_callback(self._on_started)

    def count_dropped(self) -> None:
        """Count a connection that was sent to this process but could not be received."""
        self._received += 1
        self._report_soon()

    async def _start(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        ssl = self._server.config.ssl
        timeout_s = TLS_HANDSHAKE_TIMEOUT_S if ssl else None
        try:
            await loop.connect_accepted_socket(
                self._make_protocol, connection, ssl=ssl, ssl_handshake_timeout=timeout_s
            )
        except OSError as error:  # the client has disconnected, or does not speak TLS
            connection.close()
            log.debug("connection_setup_abandoned", error=str(error))

    def _make_protocol(self) -> asyncio.Protocol:
        return self._server.make_protocol(self._state)

    def _on_started(self, task: asyncio.Task[None]) -> None:
        self._starting -= 1
        self._server.starting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("connection_setup_failed", exc_info=error)
        self._report_soon()

    def _report_soon(self) -> None:
        """Report once for all connections that are closed in one turn of the event loop."""
        if not self._report_scheduled:
            self._report_scheduled = True
            asyncio.get_running_loop().call_soon(self._report)

    def _report(self) -> None:
        self._report_scheduled = False
        # A connection can be counted twice for a moment, as starting and as open: its protocol is created before
        # its task is done. So the number is never too high.
        closed = self._received - self._starting - len(self._open)
        if closed > self._reported:
            count, self._reported = closed - self._reported, closed
            self._on_closed(count)


class _ConnectionSet(set[Any]):
    """Open connections (protocol objects) of one source; calls `on_removed` when one is removed.

    Each connection is also in uvicorn's own set, `shared`, on which uvicorn's shutdown relies.
    """

    def __init__(self, shared: set[Any], on_removed: Callable[[], None]) -> None:
        super().__init__()
        self._shared = shared
        self._on_removed = on_removed

    def add(self, element: Any) -> None:
        super().add(element)
        self._shared.add(element)

    def discard(self, element: Any) -> None:  # called by uvicorn's HTTP protocols
        super().discard(element)
        self._shared.discard(element)
        self._on_removed()

    def remove(self, element: Any) -> None:  # called by uvicorn's WebSocket protocols
        super().remove(element)
        self._shared.remove(element)
        self._on_removed()


class _SourceState:
    """Uvicorn's `ServerState` for the protocols of one source: shared, except for these two attributes."""

    def __init__(self, shared: ServerState, connections: set[Any]) -> None:
        self._shared = shared
        self.connections = connections
        self.total_requests = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shared, name)


class _UvicornWithoutListener(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        on_started: Callable[[], None],
        before_shutdown: Callable[[], Awaitable[None]],
        on_stopped: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self.starting: set[asyncio.Task[None]] = set()
        self._on_started = on_started
        self._before_shutdown = before_shutdown
        self._on_stopped = on_stopped

    def make_protocol(self, state: "_SourceState") -> asyncio.Protocol:
        """Create a protocol as the factory in `uvicorn.Server.startup` does for its listening sockets."""
        factory: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = factory(config=self.config, server_state=state, app_state=self.lifespan.state)
        return protocol

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        require_lifespan_state(self)
        freeze_heap()
        if self.started and not self.should_exit:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._before_shutdown()
        await super().shutdown(sockets)
        self._on_stopped()
