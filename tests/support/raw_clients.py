"""Minimal Socket.IO clients: text frames over a hand-written WebSocket, for hundreds in one process.

Speaks Engine.IO 4 and Socket.IO 5 as far as tests with many clients need: connect to `/`, emit with one ack,
receive events, answer pings, drop the connection. No binary, no frames of more than 64 KiB.
"""

import asyncio
import json
from typing import Any, Self

from tests.support.timing import LIMIT_S

__all__ = ["RawClient"]

TEXT = 0x81
MASKED = 0x80
NO_MASK = bytes(4)
LONG = 126
HANDSHAKE = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class RawClient(asyncio.Protocol):
    """One client, connected by `RawClient.connect`.

    Attributes:
        sid: its Socket.IO id.
        events: [event, *args] of every received event.
    """

    def __init__(self) -> None:
        self.sid = ""
        self.events: list[list[Any]] = []
        self._buffer = bytearray()
        self._upgraded = False
        self._transport: asyncio.Transport
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._answer: asyncio.Future[list[Any]] | None = None

    @classmethod
    async def connect(cls, host: str, port: int) -> Self:
        """Connect to the namespace `/`."""
        _, client = await asyncio.get_running_loop().create_connection(cls, host, port)
        key = "AAAAAAAAAAAAAAAAAAAAAA=="
        client._transport.write(HANDSHAKE.format(host=host, port=port, key=key).encode())
        await asyncio.wait_for(client._ready, LIMIT_S)
        return client

    async def call(self, event: str, *args: Any) -> list[Any]:
        """Send an event and return its acknowledgement; one at a time."""
        self._answer = asyncio.get_running_loop().create_future()
        self._send(f"421{json.dumps([event, *args])}")
        return await asyncio.wait_for(self._answer, LIMIT_S)

    def emit(self, event: str, *args: Any) -> None:
        """Send an event at once."""
        self._send(f"42{json.dumps([event, *args])}")

    def vanish(self) -> None:
        """Drop the connection without notice, as a client does whose network is gone."""
        self._transport.abort()

    # `asyncio.Protocol`.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        for future in (self._ready, self._answer):
            if future is not None and not future.done():
                future.set_exception(ConnectionError("the connection was lost"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._upgraded, self._buffer = True, bytearray(rest)
        while (text := self._next_frame()) is not None:
            self._take(text)

    # Frames.

    def _next_frame(self) -> str | None:
        if len(self._buffer) < 2:
            return None
        start, length = 2, self._buffer[1]
        if length == LONG:
            start, length = 4, int.from_bytes(self._buffer[2:4], "big")
        if len(self._buffer) < start + length:
            return None
        opcode, body = self._buffer[0], bytes(self._buffer[start : start + length])
        del self._buffer[: start + length]
        return body.decode() if opcode == TEXT else ""

    def _send(self, text: str) -> None:
        body = text.encode()
        head = bytes((TEXT, MASKED | len(body))) if len(body) < LONG else self._long_head(len(body))
        self._transport.write(head + NO_MASK + body)

    @staticmethod
    def _long_head(length: int) -> bytes:
        return bytes((TEXT, MASKED | LONG)) + length.to_bytes(2, "big")

    # Packets.

    def _take(self, text: str) -> None:
        if text.startswith("0"):
            self._send("40")
        elif text == "2":
            self._send("3")
        elif text.startswith("40"):
            self.sid = json.loads(text[2:])["sid"]
            self._ready.set_result(None)
        elif text.startswith("42"):
            self.events.append(json.loads(text[2:]))
        elif text.startswith("431") and self._answer is not None and not self._answer.done():
            self._answer.set_result(json.loads(text[3:]))
