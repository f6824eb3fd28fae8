"""An engine whose upper layer records its events, and helpers that send requests to it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from tests.support.asgi import Answer, FakeHttp, FakeWebSocket, http
from zmqio.config import EngineOptions
from zmqio.engine.server import ClientRequest, Engine, Session
from zmqio.ids import NodeTag

__all__ = ["EngineUnderTest", "RecordedConnection"]

OnMessage = Callable[["RecordedConnection", str | bytes], Awaitable[None] | None]


class RecordedConnection:
    """Implements `ConnectionEvents`: records the messages, and answers as configured."""

    def __init__(self, session: Session, request: ClientRequest, on_message: OnMessage | None) -> None:
        self.session = session
        self.request = request
        self.messages: list[str | bytes] = []
        self.reasons: list[str] = []
        self.upgrades = 0
        self._on_message = on_message

    def message(self, data: str | bytes) -> Awaitable[None] | None:
        self.messages.append(data)
        return None if self._on_message is None else self._on_message(self, data)

    def upgraded(self) -> None:
        self.upgrades += 1

    def closed(self, reason: str) -> None:
        self.reasons.append(reason)


class EngineUnderTest:
    """An engine and its connections.

    Args:
        on_message: called with each message; None only records them.
        tag: begins its session ids.
        options: of `EngineOptions`.
    """

    def __init__(self, on_message: OnMessage | None = None, *, tag: str = "node", **options: Any) -> None:
        self.connections: list[RecordedConnection] = []
        self._on_message = on_message
        self.engine = Engine(EngineOptions(**options), NodeTag(tag), self._accept)

    async def __aenter__(self) -> "EngineUnderTest":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.close()
        assert self.engine.active_requests == 0

    def _accept(self, session: Session, request: ClientRequest) -> RecordedConnection:
        connection = RecordedConnection(session, request, self._on_message)
        self.connections.append(connection)
        return connection

    def emit(self, *messages: str | bytes, to: int = 0, volatile: bool = False) -> None:
        """Send Engine.IO messages to a connection, as one piece."""
        self.connections[to].session.write(self.engine.prepare(messages), volatile=volatile)

    async def open_polling(self) -> tuple[str, RecordedConnection]:
        """Open a polling session."""
        answer = await http(self.engine.handle, "GET", "EIO=4&transport=polling")
        assert answer.status == 200, answer
        return json.loads(answer.text[1:].split("\x1e")[0])["sid"], self.connections[-1]

    def get(self, sid: str, **options: Any) -> FakeHttp:
        """Begin a poll."""
        return FakeHttp(self.engine.handle, "GET", f"EIO=4&transport=polling&sid={sid}", **options)

    async def post(self, sid: str, body: str | bytes, **options: Any) -> Answer:
        """Send a polling body."""
        raw = body.encode() if isinstance(body, str) else body
        return await http(self.engine.handle, "POST", f"EIO=4&transport=polling&sid={sid}", body=raw, **options)

    def websocket(self, sid: str | None = None, **options: Any) -> FakeWebSocket:
        """Begin a WebSocket, for a new session or to upgrade one."""
        suffix = "" if sid is None else f"&sid={sid}"
        return FakeWebSocket(self.engine.handle, f"EIO=4&transport=websocket{suffix}", **options)

    async def open_websocket(self, **options: Any) -> tuple[FakeWebSocket, RecordedConnection]:
        """Open a WebSocket session; its open packet is taken."""
        socket = self.websocket(**options)
        opened = await socket.receive()
        assert str(opened).startswith("0{")
        return socket, self.connections[-1]

    async def upgrade(self, sid: str) -> FakeWebSocket:
        """Upgrade a polling session; no poll may be waiting."""
        socket = self.websocket(sid)
        socket.send("2probe")
        assert await socket.receive() == "3probe"
        socket.send("5")
        return socket
