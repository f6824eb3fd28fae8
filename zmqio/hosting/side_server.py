"""Serve an ASGI app on a listening socket inside a process that does something else.

Uvicorn's own server takes over the signals of its process, so only its protocol runs here, with zmqio's limits of
requests. The app gets no lifespan events.
"""

import asyncio
import socket
from typing import Any

from uvicorn.server import ServerState

from zmqio.hosting.server import make_config
from zmqio.hosting.uvicorn_contract import require_server

__all__ = ["serve_beside"]


async def serve_beside(app: Any, listener: socket.socket) -> None:
    """Serve HTTP requests until cancelled; then close all connections and the listener.

    Args:
        app: an ASGI app.
        listener: bound.

    Raises:
        ServeError: the installed uvicorn lacks a name that this function needs.
    """
    require_server()
    config = make_config(app, lifespan="off")
    config.load()
    state = ServerState()
    factory: Any = config.http_protocol_class

    def make_protocol() -> asyncio.Protocol:
        protocol: asyncio.Protocol = factory(config=config, server_state=state, app_state={})
        return protocol

    loop = asyncio.get_running_loop()
    server = await loop.create_server(make_protocol, sock=listener)
    try:
        await loop.create_future()
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.close()
