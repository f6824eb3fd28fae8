"""The server side of ASGI, for tests: drives an application without sockets."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.timing import LIMIT_S

__all__ = ["Answer", "FakeHttp", "FakeWebSocket", "http"]

App = Callable[..., Awaitable[None]]


@dataclass
class Answer:
    """The response of an application to an HTTP request."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False

    @property
    def text(self) -> str:
        return self.body.decode()


class FakeHttp:
    """One HTTP request; `await` it for its answer.

    Args:
        app: the application.
        method: of the request.
        query: without the question mark.
        body: in one piece, or in several.
        headers: of the request.
        path: of the request.
        breaks_off: the client disconnects before the end of the body.
        endless: the body does not end.
    """

    def __init__(
        self,
        app: App,
        method: str,
        query: str,
        *,
        body: bytes | Sequence[bytes] = b"",
        headers: dict[str, str] | None = None,
        path: str = "/socket.io/",
        breaks_off: bool = False,
        endless: bool = False,
        on_send: Callable[[dict[str, Any]], Awaitable[None]] | None = None,
    ) -> None:
        self.answer = Answer()
        chunks = [body] if isinstance(body, bytes) else list(body)
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for index, chunk in enumerate(chunks):
            more = breaks_off or endless or index < len(chunks) - 1
            self._events.put_nowait({"type": "http.request", "body": chunk, "more_body": more})
        if breaks_off:
            self.go_away()
        self._on_send = on_send
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
            "client": ("127.0.0.1", 1234),
            "scheme": "http",
        }
        self.task = asyncio.get_running_loop().create_task(_run(app, scope, self._events.get, self._send))

    def __await__(self) -> Any:
        return self._wait().__await__()

    def go_away(self) -> None:
        """The client closes its connection."""
        self._events.put_nowait({"type": "http.disconnect"})

    async def _wait(self) -> Answer:
        async with asyncio.timeout(LIMIT_S):
            await self.task
        return self.answer

    async def _send(self, message: dict[str, Any]) -> None:
        if self._on_send is not None:
            await self._on_send(message)
        if message["type"] == "http.response.start":
            self.answer.status = message["status"]
            self.answer.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        else:
            self.answer.body += message.get("body", b"")
            self.answer.complete = not message.get("more_body", False)
            self.go_away()


async def http(app: App, method: str, query: str = "", **options: Any) -> Answer:
    """Make one HTTP request and wait for its answer."""
    return await FakeHttp(app, method, query, **options)


class FakeWebSocket:
    """One WebSocket; its opening request is made at once.

    Attributes:
        sent: what the application has sent, text and bytes, in order.
        accepted: whether it was accepted.
        close_code: of the application's close, or None.
        refusal: the HTTP answer, if it was refused with one.
        can_send: while cleared, sends of the application wait.
        fails_with: if set, they raise it.
    """

    def __init__(self, app: App, query: str, *, extensions: dict[str, Any] | None = None, **headers: str) -> None:
        self.sent: list[str | bytes] = []
        self.accepted = False
        self.close_code: int | None = None
        self.refusal = Answer()
        self.can_send = asyncio.Event()
        self.can_send.set()
        self.fails_with: Exception | None = None
        self._news = asyncio.Event()
        self._taken = 0
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._events.put_nowait({"type": "websocket.connect"})
        scope = {
            "type": "websocket",
            "path": "/socket.io/",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1234),
            "scheme": "ws",
            "extensions": {"websocket.http.response": {}} if extensions is None else extensions,
        }
        self.task = asyncio.get_running_loop().create_task(_run(app, scope, self._events.get, self._send))

    def send(self, data: str | bytes) -> None:
        """Send one message to the application."""
        key = "text" if isinstance(data, str) else "bytes"
        self._events.put_nowait({"type": "websocket.receive", key: data})

    def close(self) -> None:
        """The client closes."""
        self._events.put_nowait({"type": "websocket.disconnect", "code": 1005})

    async def receive(self) -> str | bytes:
        """The next message of the application."""
        async with asyncio.timeout(LIMIT_S):
            while len(self.sent) <= self._taken:
                self._news.clear()
                await self._news.wait()
        self._taken += 1
        return self.sent[self._taken - 1]

    async def ended(self) -> None:
        """Wait until the application has returned."""
        async with asyncio.timeout(LIMIT_S):
            await self.task

    async def _send(self, message: dict[str, Any]) -> None:
        await self.can_send.wait()
        if self.fails_with is not None:
            raise self.fails_with
        match message["type"]:
            case "websocket.accept":
                self.accepted = True
            case "websocket.send":
                text = message.get("text")
                self.sent.append(text if text is not None else message["bytes"])
            case "websocket.close":
                self.close_code = message.get("code", 1000)
                self.close()
            case "websocket.http.response.start":
                self.refusal.status = message["status"]
            case _:
                self.refusal.body += message["body"]
        self._news.set()


async def _run(app: App, scope: dict[str, Any], receive: Any, send: Any) -> None:
    await app(scope, receive, send)
