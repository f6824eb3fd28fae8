"""Serve an ASGI app with uvicorn, the way that suits Socket.IO.

The fast paths for WebSockets and polling are on; WebSocket compression and uvicorn's own WebSocket pings are off
(compression costs 58-79 KB a connection, and Engine.IO has heartbeats of its own); on a stop the app ends its
connections *before* uvicorn waits for open responses, or a parked poll would hold it for a heartbeat interval.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import uvicorn

from zmqio.hosting.http_protocol import HttpProtocol
from zmqio.hosting.settled_heap import settle_heap
from zmqio.hosting.websocket_protocol import WebSocketProtocol
from zmqio.stop_requests import StopRequests

__all__ = ["GRACE_S", "make_config", "serve"]

GRACE_S = 5
"""Seconds that uvicorn waits for open responses after the app has ended its connections."""


async def serve(app: Any, *, listener: socket.socket, before_shutdown: Callable[[], Awaitable[None]]) -> None:
    """Serve `app` on a socket that is bound already, until SIGINT or SIGTERM.

    Args:
        app: an ASGI app.
        listener: bound, listening or not.
        before_shutdown: ends the app's connections; awaited once, before uvicorn shuts down, while everything is
            still served. It is cancelled, to end them at once, when a signal comes again.
    """
    await _PlainServer(make_config(app), before_shutdown).serve(sockets=[listener])


def make_config(app: Any, **more: Any) -> uvicorn.Config:
    """uvicorn's configuration for `app`; `more` are further options of it."""
    logging.getLogger("asyncio").addFilter(_is_no_lost_write)
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        ws_ping_timeout=None,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_S,
        **more,
    )


def _is_no_lost_write(record: logging.LogRecord) -> bool:
    """Leave out the line for each write to a connection whose loss is not reported yet: in a storm, thousands."""
    return record.msg != "socket.send() raised exception."


class _PlainServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, before_shutdown: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._before_shutdown = before_shutdown
        self._requests = StopRequests()
        self._insisted = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._requests.is_repeated(time.monotonic()):
            self._loop.call_soon_threadsafe(self._insisted.set)
        super().handle_exit(sig, frame)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        settle_heap()  # before it listens: what comes later is to be collected
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._end_connections()
        await super().shutdown(sockets)

    async def _end_connections(self) -> None:
        ending = asyncio.ensure_future(self._before_shutdown())
        insisted = asyncio.ensure_future(self._insisted.wait())
        try:
            await asyncio.wait((ending, insisted), return_when=asyncio.FIRST_COMPLETED)
        finally:
            insisted.cancel()
        if ending.done():
            ending.result()
        else:
            ending.cancel()
