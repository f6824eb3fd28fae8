"""Serve an ASGI app with uvicorn, configured for Socket.IO.

Uses zmqio's protocol classes for WebSockets and polling. Disables WebSocket compression, which takes 58-79 KB per
connection, and uvicorn's WebSocket pings, because Engine.IO has its own heartbeats. On a stop, the app closes its
connections *before* uvicorn waits for open responses; a pending long poll would delay it by a heartbeat interval.
"""

import asyncio
import gc
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import uvicorn

from zmqio.hosting.quiet_server import wake_once_a_second
from zmqio.hosting.uvicorn_contract import missing_names, protocol_classes
from zmqio.stop_requests import StopRequests

__all__ = ["GRACE_S", "freeze_heap", "make_config", "serve"]

GRACE_S = 5
"""Seconds that uvicorn waits for open responses after the app has closed its connections."""
DEFAULT_THRESHOLDS = ((700, 10, 10), (2000, 10, 10))
"""Python's defaults of `gc.set_threshold`, up to 3.12 and in 3.13. All objects are examined after 70,000 or
200,000 new ones, at the earliest."""
RARE_OBJECTS = 350_000
"""New objects, those of some 6,000 connections, after which `freeze_heap` lets all objects be examined."""


async def serve(app: Any, *, listener: socket.socket, before_shutdown: Callable[[], Awaitable[None]]) -> None:
    """Serve `app` on a bound socket until SIGINT or SIGTERM.

    Args:
        app: an ASGI app.
        listener: bound; listening or not.
        before_shutdown: closes the app's connections; awaited once before uvicorn shuts down, while requests are
            still served. A second signal cancels it, to close the connections at once.
    """
    wake_once_a_second()
    config = make_config(app)
    server = uvicorn.Server(config) if missing_names() else _ListeningUvicorn(config, before_shutdown)
    await server.serve(sockets=[listener])


def make_config(app: Any, **more: Any) -> uvicorn.Config:
    """Create uvicorn's configuration for `app`; `more` are further options of `uvicorn.Config`."""
    logging.getLogger("asyncio").addFilter(_is_not_failed_write)
    http, ws = protocol_classes()
    return uvicorn.Config(
        app,
        http=http,
        ws=ws,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        ws_ping_timeout=None,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_S,
        **more,
    )


def _is_not_failed_write(record: logging.LogRecord) -> bool:
    """Filter out asyncio's line for each write to a lost connection: thousands when many clients disconnect."""
    return record.msg != "socket.send() raised exception."


def freeze_heap() -> None:
    """Exclude all objects that exist now from garbage collection, and make full collections rare.

    Both hold for the life of the process, so call this only where zmqio owns it.

    Call this after the imports and before the first connection, whose objects must be collected. The imports of a
    server leave some 65,000 objects that can be part of cycles and are never garbage; examining them blocks the
    event loop for 20 to 40 ms in each full collection. Closed connections leave no garbage, so full collections
    are made rare: otherwise they take a fifth of the CPU while thousands of clients connect and stay.
    """
    gc.collect()
    gc.freeze()
    thresholds = gc.get_threshold()
    if thresholds in DEFAULT_THRESHOLDS:  # otherwise the application has chosen
        young, middle, _ = thresholds
        gc.set_threshold(young, middle, RARE_OBJECTS // (young * middle))


class _ListeningUvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, before_shutdown: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._before_shutdown = before_shutdown
        self._stop_requests = StopRequests()
        self._stop_repeated = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._stop_requests.is_repeated(time.monotonic()):
            self._loop.call_soon_threadsafe(self._stop_repeated.set)
        super().handle_exit(sig, frame)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        freeze_heap()  # before it listens
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._close_connections()
        await super().shutdown(sockets)

    async def _close_connections(self) -> None:
        closing = asyncio.ensure_future(self._before_shutdown())
        repeated = asyncio.ensure_future(self._stop_repeated.wait())
        try:
            await asyncio.wait((closing, repeated), return_when=asyncio.FIRST_COMPLETED)
        finally:
            repeated.cancel()
        if closing.done():
            closing.result()
        else:
            closing.cancel()
