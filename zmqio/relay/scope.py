"""Convert the head of a client's request between its ASGI scope and the messages between nodes. Pure.

Only the headers that a session's owner reads are sent.
"""

from typing import Any

from zmqio.engine.handshake import PROXIED, ClientRequest
from zmqio.engine.http_exchange import RELAYED, Relayed
from zmqio.protocol.relay_messages import HttpRequest, StreamOpen

__all__ = ["forwarded_headers", "http_scope", "join_fields", "split_fields", "websocket_scope"]

Fields = list[tuple[bytes, bytes]]

_FORWARDED = (
    "accept-encoding",  # compression
    "content-length",
    "content-type",  # "invalid content"
    "origin",  # this and the rest: CORS
    "host",
)
_FORWARDED_IF_PROXIED = (*_FORWARDED, "x-forwarded-host")
"""Also what a trusted proxy wrote. Its X-Forwarded-Proto is in `ClientRequest.secure`."""


def forwarded_headers(request: ClientRequest) -> tuple[str, ...]:
    """Return the headers that the owner needs: name, value, name, value, ...

    The owner believes each of them, so X-Forwarded-Host is left out unless a trusted proxy of this node wrote it.
    """
    headers = request.headers
    names = _FORWARDED_IF_PROXIED if request.proxied else _FORWARDED
    return tuple([part for name in names if name in headers for part in (name, headers[name])])


def http_scope(message: HttpRequest, relayed: Relayed) -> dict[str, Any]:
    """Build the ASGI scope of a relayed polling request."""
    return _scope(message, "https" if message.secure else "http") | {
        "type": "http",
        "method": message.method,
        "extensions": {RELAYED: relayed, PROXIED: True},
    }


def websocket_scope(message: StreamOpen, relayed: object) -> dict[str, Any]:
    """Build the ASGI scope of a relayed WebSocket."""
    return _scope(message, "wss" if message.secure else "ws") | {
        "type": "websocket",
        "extensions": {RELAYED: relayed, PROXIED: True, "websocket.http.response": {}},
    }


def join_fields(fields: Fields) -> tuple[str, ...]:
    """Flatten ASGI header fields for a message between nodes: name, value, name, value, ..."""
    return tuple([part.decode("latin-1") for field in fields for part in field])


def split_fields(headers: tuple[str, ...]) -> Fields:
    """Turn the headers of a message between nodes into ASGI fields; characters outside Latin-1 become `?`."""
    raw = [part.encode("latin-1", "replace") for part in headers]
    return list(zip(raw[::2], raw[1::2], strict=True))


def _scope(message: HttpRequest | StreamOpen, scheme: str) -> dict[str, Any]:
    return {
        "path": "/",
        "query_string": message.query.encode("latin-1", "replace"),
        "headers": split_fields(message.headers),
        "client": (message.address, 0) if message.address else None,
        "scheme": scheme,
    }
