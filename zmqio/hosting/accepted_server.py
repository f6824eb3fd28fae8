"""Serve an ASGI app on connections that were accepted elsewhere, with uvicorn.

uvicorn's own server runs without a listening socket; each connection gets a protocol from the same factory that
uvicorn would give to `create_server`. How many are open is what uvicorn's own sets of connections say, which an
upgrade to WebSocket leaves and enters in one step: each source of connections has a set of its own, so that each
can be told how many of its own have ended.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
import uvicorn
from uvicorn.server import ServerState

from zmqio.hosting.options import HttpOptions
from zmqio.hosting.server import make_config
from zmqio.hosting.settled_heap import settle_heap

__all__ = ["AcceptedServer", "Intake"]

log = structlog.get_logger(__name__)

TLS_HANDSHAKE_LIMIT_S = 10.0
"""Seconds that a TLS handshake may take; then the connection is closed."""


class AcceptedServer:
    """A uvicorn server that is given its connections, through its intakes.

    Args:
        app: an ASGI app.
        options: how connections are served.
        started: called once when the app's lifespan has started and the loop runs.
        before_shutdown: awaited once when it was told to stop, before uvicorn shuts down; connections may still
            be given.
    """

    def __init__(
        self,
        app: Any,
        options: HttpOptions,
        *,
        started: Callable[[], None],
        before_shutdown: Callable[[], Awaitable[None]],
    ) -> None:
        config = make_config(
            app,
            forwarded_allow_ips=options.trusted_proxies,
            ssl_certfile=options.ssl_certfile or None,
            ssl_keyfile=options.ssl_keyfile or None,
        )
        self._server = _Server(config, started, before_shutdown)

    def intake(self, ended: Callable[[int], None]) -> "Intake":
        """A new source of connections.

        Args:
            ended: called soon after connections of this source have ended, with how many more.
        """
        return Intake(self._server, ended)

    async def serve(self) -> None:
        """Serve until SIGINT or SIGTERM.

        Raises:
            SystemExit: the app's lifespan failed to start; uvicorn has logged why.
        """
        await self._server.serve(sockets=[])
        for task in self._server.beginning:  # TLS handshakes that are not through
            task.cancel()
        await asyncio.gather(*self._server.beginning, return_exceptions=True)


class Intake:
    """Gives a server connections, and tells how many of these have ended; made by `AcceptedServer.intake`."""

    def __init__(self, server: "_Server", ended: Callable[[int], None]) -> None:
        self._server = server
        self._tell_ended = ended
        self._open = _Watched(server.server_state.connections, self._soon)
        self._state = _State(server.server_state, self._open)
        self._taken = self._beginning = self._told = 0
        self._is_due = False

    def take(self, connection: socket.socket) -> None:
        """Serve a connection; it belongs to the server from now on."""
        self._taken += 1
        self._beginning += 1
        connection.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._begin(connection))
        self._server.beginning.add(task)
        task.add_done_callback(self._has_begun)

    def lost(self) -> None:
        """Count a connection that was meant for the server and ended before it came."""
        self._taken += 1
        self._soon()

    async def _begin(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        ssl = self._server.config.ssl
        limit_s = TLS_HANDSHAKE_LIMIT_S if ssl else None
        try:
            await loop.connect_accepted_socket(
                self._make_protocol, connection, ssl=ssl, ssl_handshake_timeout=limit_s
            )
        except OSError as error:  # the client has gone, or does not speak TLS
            connection.close()
            log.debug("connection_failed", error=str(error))

    def _make_protocol(self) -> asyncio.Protocol:
        return self._server.make_protocol(self._state)

    def _has_begun(self, task: asyncio.Task[None]) -> None:
        self._beginning -= 1
        self._server.beginning.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("connection_failed", exc_info=error)
        self._soon()

    def _soon(self) -> None:
        """Tell once for all that end in one turn of the loop."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._is_due = False
        # One that begins is in both for a moment, its protocol runs before its task knows: never too many.
        ended = self._taken - self._beginning - len(self._open)
        if ended > self._told:
            more, self._told = ended - self._told, ended
            self._tell_ended(more)


class _Watched(set[Any]):
    """Open connections (protocol objects) of one source; tells when one has left.

    They are in uvicorn's own set, too, which its shutdown goes by.
    """

    def __init__(self, everybody: set[Any], left: Callable[[], None]) -> None:
        super().__init__()
        self._everybody = everybody
        self._left = left

    def add(self, element: Any) -> None:
        super().add(element)
        self._everybody.add(element)

    def discard(self, element: Any) -> None:  # as the HTTP protocols leave
        super().discard(element)
        self._everybody.discard(element)
        self._left()

    def remove(self, element: Any) -> None:  # as the WebSocket protocols leave
        super().remove(element)
        self._everybody.remove(element)
        self._left()


class _State:
    """uvicorn's `ServerState` as the protocols of one source see it: all of it, with connections of its own."""

    def __init__(self, shared: ServerState, connections: set[Any]) -> None:
        self._shared = shared
        self.connections = connections
        self.tasks = shared.tasks
        self.total_requests = 0

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """A new list every second."""
        return self._shared.default_headers


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, started: Callable[[], None], before_shutdown: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(config)
        self.beginning: set[asyncio.Task[None]] = set()
        self._started = started
        self._before_shutdown = before_shutdown

    def make_protocol(self, state: "_State") -> asyncio.Protocol:
        """As the factory that `uvicorn.Server.startup` makes for its listening sockets."""
        factory: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = factory(config=self.config, server_state=state, app_state=self.lifespan.state)
        return protocol

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        settle_heap()
        if self.started and not self.should_exit:
            self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._before_shutdown()
        await super().shutdown(sockets)
