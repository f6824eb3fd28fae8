"""A real ASGI server with an engine behind it, in this process and on this loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import uvicorn
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config as HypercornConfig

from tests.support.engine import EngineUnderTest, OnMessage
from tests.support.timing import LIMIT_S, wait_until
from zmqio.hosting.http_protocol import HttpProtocol
from zmqio.hosting.websocket_protocol import WebSocketProtocol

__all__ = ["SERVERS", "RunningEngine", "run_engine"]

SERVERS = ("uvicorn", "uvicorn-h11", "uvicorn-fast", "hypercorn")

PATIENT = {"first_packet_timeout_s": LIMIT_S, "upgrade_timeout_s": LIMIT_S}
"""Options by default: a client of a test sends its first packet late, or never, while this process gets no CPU."""

_HTTP: dict[str, Any] = {"uvicorn-h11": "h11", "uvicorn-fast": HttpProtocol}


class RunningEngine(EngineUnderTest):
    """An engine that listens on `port`."""

    port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}/socket.io/"

    def url(self, sid: str | None = None) -> str:
        """The URL for polling."""
        return f"http://{self.address}?EIO=4&transport=polling" + (f"&sid={sid}" if sid else "")

    def websocket_url(self, sid: str | None = None) -> str:
        """The URL for WebSockets."""
        return f"ws://{self.address}?EIO=4&transport=websocket" + (f"&sid={sid}" if sid else "")


@asynccontextmanager
async def run_engine(
    server: str, on_message: OnMessage | None = None, **options: Any
) -> AsyncIterator[RunningEngine]:
    """Serve an engine with one of `SERVERS` for the length of the block; no request may be open after it."""
    host = RunningEngine(on_message, **PATIENT | options)
    listener = socket.create_server(("127.0.0.1", 0))
    # Small, so that a client that does not read is noticed soon.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    host.port = listener.getsockname()[1]
    run = _hypercorn if server == "hypercorn" else _uvicorn
    async with run(host, server, listener):
        yield host
        await host.engine.close()
        assert host.engine.active_requests == 0


@asynccontextmanager
async def _uvicorn(host: RunningEngine, kind: str, listener: socket.socket) -> AsyncIterator[None]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await host.engine.handle(scope, receive, send)

    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        http=_HTTP.get(kind, "httptools"),
        access_log=False,
        ws=WebSocketProtocol if kind == "uvicorn-fast" else "websockets-sansio",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    await wait_until(lambda: server.started, "uvicorn to start")
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, LIMIT_S)


@asynccontextmanager
async def _hypercorn(host: RunningEngine, _kind: str, listener: socket.socket) -> AsyncIterator[None]:
    config = HypercornConfig()
    config.bind = [f"fd://{listener.fileno()}"]
    config.graceful_timeout = 2
    config.errorlog = None
    stop = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await host.engine.handle(scope, receive, send)

    task = asyncio.ensure_future(
        hypercorn_serve(app, config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]
    )
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, LIMIT_S)
        listener.detach()
