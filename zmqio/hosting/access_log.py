"""The access log of `zmqio serve --access-log`: a line for each HTTP request, and two for each WebSocket.

An ASGI app around the served one. It logs the path without the query: the query of a Socket.IO request has the
session id, and others may have tokens. Requests that are rejected before they reach an application are not in it;
they are counted and logged as `connection_rejected`.
"""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from zmqio.logger import get_logger

__all__ = ["AccessLog"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = get_logger(__name__)

SERVER_ERROR = 500
FORBIDDEN = 403
CLOSED_ABNORMALLY = 1006


class AccessLog:
    """An ASGI app that logs the requests of another one.

    Args:
        app: the app. It runs behind the middleware that evaluates the headers of trusted proxies, so that
            `scope["client"]` is the client.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a request, or the lifespan, through the app."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        line = _HttpLine(scope) if scope["type"] == "http" else _WebSocketLines(scope)
        try:
            await self._app(scope, line.watch_receive(receive), line.watch_send(send))
        except Exception:
            line.failed()
            raise
        finally:
            line.ended()


class _HttpLine:
    """The line of one HTTP request."""

    def __init__(self, scope: Message) -> None:
        client = scope.get("client")
        self.facts = {
            "client": client[0] if client else None,
            "method": scope.get("method", "GET"),
            "path": scope["path"],
        }
        self.status: int | None = None
        self.bytes = 0
        self._started_s = time.perf_counter()

    def watch_receive(self, receive: Receive) -> Receive:
        """Return `receive`: what a client sends is not logged."""
        return receive

    def watch_send(self, send: Send) -> Send:
        """Return a `send` that notes the response."""

        async def watched(message: Message) -> None:
            self.note(message)
            await send(message)

        return watched

    def note(self, message: Message) -> None:
        """Note what the app sends."""
        if message["type"].endswith("http.response.start"):
            self.status = message["status"]
        elif message["type"].endswith("http.response.body"):
            self.bytes += len(message.get("body", b""))

    def failed(self) -> None:
        """Note that the app raised an error: the server responds with 500, unless a response has begun."""
        self.status = self.status or SERVER_ERROR

    def ended(self) -> None:
        """Write the line."""
        log.info(
            "request_completed", **self.facts, status=self.status, bytes=self.bytes, duration_s=self.duration_s
        )

    @property
    def duration_s(self) -> float:
        """Seconds since the request began."""
        return round(time.perf_counter() - self._started_s, 3)


class _WebSocketLines(_HttpLine):
    """The lines of one WebSocket: opened and closed, or that of a request that was refused."""

    _is_open = False
    _code = CLOSED_ABNORMALLY

    def watch_receive(self, receive: Receive) -> Receive:
        """Return a `receive` that notes why the WebSocket closed."""

        async def watched() -> Message:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self._code = message.get("code", CLOSED_ABNORMALLY)
            return message

        return watched

    def note(self, message: Message) -> None:
        """Note what the app sends."""
        super().note(message)
        if message["type"] == "websocket.accept":
            self._is_open = True
            log.info("websocket_opened", **self.facts)
        elif message["type"] == "websocket.close":
            self._code = message.get("code", 1000)
            self.status = self.status or FORBIDDEN

    def ended(self) -> None:
        """Write the last line."""
        if self._is_open:
            log.info("websocket_closed", **self.facts, code=int(self._code), duration_s=self.duration_s)
        else:
            super().ended()
