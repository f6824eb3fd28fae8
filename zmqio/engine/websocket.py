"""Accept, read or refuse one WebSocket, in one coroutine that sleeps while no message arrives.

Knows ASGI WebSocket messages and sessions; must not know the registry of sessions.

Source: ASGI specification, "HTTP & WebSocket ASGI Message Format" 2.4.
"""

import asyncio
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from zmqio.config import EngineOptions
from zmqio.engine.handshake import Refusal
from zmqio.engine.http_exchange import Send
from zmqio.engine.long_poll import Receive
from zmqio.engine.session import Session, SessionOwner
from zmqio.engine.websocket_transports import AsgiWebSocketTransport, DirectWebSocketTransport, DirectWire

__all__ = [
    "EXTENSION",
    "PENDING",
    "VIOLATION",
    "accept",
    "answer",
    "attach",
    "data_of",
    "first_subprotocol",
    "prepare_wire",
    "read_until_closed",
    "refuse",
    "turn_away",
]

EXTENSION = "zmqio.fast_websocket"
"""Key in `scope["extensions"]` of the `DirectWire`, if the server has one."""
PENDING = "zmqio.pending"
"""Type of the event with which a `DirectWire` pauses `receive()`; see `DirectWire.listen`."""
VIOLATION = "zmqio.violation"
"""Key in a `websocket.disconnect` event of a `DirectWire`: the client's frames were invalid or too large."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A subprotocol. Source: RFC 9110, section 5.6.2."""


async def accept(
    scope: Mapping[str, Any], receive: Receive, send: Send, subprotocols: Collection[str] | None = None
) -> bool:
    """Accept the WebSocket; return False if the client has already disconnected.

    Without `subprotocols`, the first one that the client offers is selected, as by the JavaScript server (ws,
    `handleProtocols`): browsers and the official client close a WebSocket for which none of their offers was
    selected.

    Args:
        scope, receive, send: the ASGI WebSocket.
        subprotocols: those that may be selected; None for all.
    """
    message = await receive()
    if message["type"] != "websocket.connect":
        return False
    subprotocol = first_subprotocol(scope.get("subprotocols") or (), subprotocols)
    await send({"type": "websocket.accept"} | ({"subprotocol": subprotocol} if subprotocol else {}))
    return True


def first_subprotocol(offers: Iterable[str], allowed: Collection[str] | None = None) -> str | None:
    """Return the first valid subprotocol; None if there is none.

    Args:
        offers: the ASGI server's list. Some servers leave several subprotocols in one item, separated by commas.
        allowed: those that may be returned; None for all.
    """
    tokens = (token.strip() for offer in offers for token in offer.split(","))
    valid = filter(_TOKEN.fullmatch, tokens)
    return next((token for token in valid if allowed is None or token in allowed), None)


def prepare_wire(scope: Mapping[str, Any], options: EngineOptions) -> None:
    """Let the ASGI server refuse too large messages before it reads them, and accept compression.

    Does nothing if it is not one with a `DirectWire`.
    """
    wire: DirectWire | None = (scope.get("extensions") or {}).get(EXTENSION)
    if wire is not None:
        wire.limit_messages(options.max_payload_bytes)
        if options.websocket_compression:
            wire.negotiate_compression()


async def turn_away(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Accept the WebSocket and close it at once.

    The JavaScript server does so for a second WebSocket of a session (`Server.onWebSocket`).
    """
    if await accept(scope, receive, send):
        await send({"type": "websocket.close", "code": 1000})


async def refuse(refusal: Refusal, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer the opening request with an error; see `answer`."""
    await answer(refusal.status, refusal.body, scope, receive, send)


async def answer(status: int, body: bytes, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer the opening request with JSON; with 403 and no body if the ASGI server supports only that."""
    await receive()
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close"})
        return
    headers = [(b"content-type", b"application/json")]  # uvicorn 0.35 adds the length itself
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def attach(session: Session, owner: SessionOwner, scope: Mapping[str, Any], send: Send) -> DirectWire | None:
    """Make the accepted WebSocket the session's transport; return the wire if it writes directly."""
    wire: DirectWire | None = (scope.get("extensions") or {}).get(EXTENSION)
    if wire is not None:
        direct = DirectWebSocketTransport(session, owner, wire, send)
        if direct.open():
            session.upgrade_to(direct)
            return wire
    session.upgrade_to(AsgiWebSocketTransport(session, owner, send))
    return None


def data_of(message: Mapping[str, Any]) -> str | bytes:
    """The text or the bytes of a `websocket.receive` message."""
    text = message.get("text")
    data: str | bytes = text if text is not None else message["bytes"]
    return data


async def read_until_closed(session: Session, receive: Receive, wire: DirectWire | None) -> None:
    """Pass every message to the session in order until the WebSocket closes; then end the session.

    Nothing more is read until the awaitable that a message returned completes.
    """
    try:
        while True:
            if wire is not None:
                wire.listen(session.received_frame)
            message = await receive()
            kind = message["type"]
            if kind == "websocket.receive":
                pending = session.received_frame(data_of(message))
            elif kind == PENDING:
                pending = message["awaitable"]
            elif VIOLATION in message:
                session.end_after_violation(message["code"])
                return
            else:
                session.end("transport close")
                return
            if pending is not None:
                await session.await_handled(pending)
    except asyncio.CancelledError:
        session.end("transport close")
        if not session.aborted:
            raise
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
