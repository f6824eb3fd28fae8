"""The life of one WebSocket: accept it, read it, or refuse it. One coroutine, which sleeps while nothing comes.

Knows ASGI WebSocket messages and sessions; must not know how sessions are found.

Source: ASGI specification, "HTTP & WebSocket ASGI Message Format" 2.4.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from zmqio.engine.handshake import Refusal
from zmqio.engine.http_exchange import Send
from zmqio.engine.long_poll import Receive
from zmqio.engine.session import Session, SessionOwner
from zmqio.engine.websocket_transports import AsgiWebSocketTransport, DirectWebSocketTransport, DirectWire

__all__ = [
    "EXTENSION",
    "PENDING",
    "accept",
    "answer",
    "attach",
    "data_of",
    "read_until_closed",
    "refuse",
    "turn_away",
]

EXTENSION = "zmqio.fast_websocket"
"""Key of the wire in `scope["extensions"]`."""
PENDING = "zmqio.pending"
"""Type of the event that a wire puts in the way of `receive()`; see `DirectWire.listen`."""


async def accept(receive: Receive, send: Send) -> bool:
    """Accept the WebSocket; False if the client has gone already."""
    message = await receive()
    if message["type"] != "websocket.connect":
        return False
    await send({"type": "websocket.accept"})
    return True


async def turn_away(receive: Receive, send: Send) -> None:
    """Accept the WebSocket and close it at once.

    So the JavaScript server answers a second WebSocket of a session (`Server.onWebSocket`).
    """
    if await accept(receive, send):
        await send({"type": "websocket.close", "code": 1000})


async def refuse(refusal: Refusal, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer the opening request with an error; see `answer`."""
    await answer(refusal.status, refusal.body, scope, receive, send)


async def answer(status: int, body: bytes, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer the opening request with JSON, or with 403 and no body where the ASGI server can do no better."""
    await receive()
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close"})
        return
    headers = [(b"content-type", b"application/json")]  # uvicorn 0.35 adds a length of its own
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def attach(session: Session, owner: SessionOwner, scope: Mapping[str, Any], send: Send) -> DirectWire | None:
    """Make the accepted WebSocket the session's transport; returns the wire if it is on the fast path."""
    wire: DirectWire | None = (scope.get("extensions") or {}).get(EXTENSION)
    if wire is not None:
        fast = DirectWebSocketTransport(session, owner, wire, send)
        if fast.open():
            session.upgrade_to(fast)
            return wire
    session.upgrade_to(AsgiWebSocketTransport(session, owner, send))
    return None


def data_of(message: Mapping[str, Any]) -> str | bytes:
    """The text or the bytes of a `websocket.receive` message."""
    text = message.get("text")
    data: str | bytes = text if text is not None else message["bytes"]
    return data


async def read_until_closed(session: Session, receive: Receive, wire: DirectWire | None) -> None:
    """Hand every message to the session, in order, until the WebSocket is closed; then the session ends.

    While an awaitable that a message left behind is not done, nothing more is read.
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
