"""The protocol classes load by the names that users type on uvicorn's command line."""

from typing import Any

from uvicorn import Config

from zmqio.uvicorn import HttpProtocol, WebSocketProtocol


async def app(_scope: Any, _receive: Any, _send: Any) -> None:
    """An ASGI app that is never called."""


def test_uvicorn_loads_both_protocols_by_their_public_names() -> None:
    protocols = {"http": "zmqio.uvicorn:HttpProtocol", "ws": "zmqio.uvicorn:WebSocketProtocol"}
    config = Config(app, log_config=None, **protocols)  # with its own, no later test sees a line of uvicorn
    config.load()
    assert (config.http_protocol_class, config.ws_protocol_class) == (HttpProtocol, WebSocketProtocol)
