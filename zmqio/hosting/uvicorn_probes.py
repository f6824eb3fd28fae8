"""Objects of uvicorn that have handled one request each, without an event loop or a socket.

They show which names the installed uvicorn has, and what it makes of a request.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

__all__ = ["make_probes"]

_GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def make_probes() -> dict[type, Any]:
    """Make one object of each class. A changed uvicorn may raise any error."""
    config = uvicorn.Config(
        _no_app, http=HttpToolsProtocol, ws=WebSocketsSansIOProtocol, lifespan="off", log_config=None
    )
    config.load()
    state, loop = ServerState(), _ProbeLoop()
    http = HttpToolsProtocol(config, state, {}, loop)  # type: ignore[arg-type]
    websocket = WebSocketsSansIOProtocol(config, state, {}, loop)  # type: ignore[arg-type]
    for protocol, request in ((http, _GET), (websocket, _UPGRADE)):
        protocol.connection_made(_ProbeTransport())
        protocol.data_received(request)
    return {
        HttpToolsProtocol: http,
        WebSocketsSansIOProtocol: websocket,
        uvicorn.Server: uvicorn.Server(config),
        uvicorn.Config: config,
        ServerState: state,
    }


async def _no_app(_scope: Any, _receive: Any, _send: Any) -> None:
    """An app that is never called."""


class _ProbeTransport(asyncio.Transport):
    """A transport that discards everything."""

    def write(self, data: Any) -> None: ...

    def close(self) -> None: ...

    def is_closing(self) -> bool:
        return False


class _ProbeLoop:
    """An event loop that discards its tasks."""

    def create_task(self, work: Coroutine[Any, Any, Any], **_options: Any) -> Any:
        work.close()
        return _ProbeTask()


class _ProbeTask:
    """A task that never ends."""

    def add_done_callback(self, callback: Any) -> None: ...
