"""A connection of an attacker: raw bytes, and the few frames with which attacks begin."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

__all__ = ["AUTH", "POLL", "Wire", "frame_head", "text_frame", "wire"]

POLL = "/socket.io/?EIO=4&transport=polling"
UPGRADE = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
NO_MASK = bytes(4)
CLOSE = b"\x88\x02"
"""The head of a Close frame with a code."""
AUTH = json.dumps({"pair": "attacker"})


class Wire:
    """One TCP connection. Data are counted as sent when the kernel has taken them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.sent_bytes = 0

    async def send(self, data: bytes) -> None:
        """Send; waits while the server does not read. Raises OSError when it has closed the connection."""
        self._writer.write(data)
        await self._writer.drain()
        self.sent_bytes += len(data)
        if self._writer.is_closing() or self._reader.exception() is not None:
            raise ConnectionResetError
        await asyncio.sleep(0)

    async def read(self) -> bytes:
        """Some bytes. Raises OSError at their end, and after a Close frame."""
        data = await self._reader.read(1 << 16)
        if not data or data[-4:-2] == CLOSE:
            raise ConnectionResetError
        return data

    async def answer(self) -> bytes:
        """The next HTTP answer, with its body."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return head + await self._reader.readexactly(int(line.partition(b":")[2]))
        return head

    async def open_polling(self) -> str:
        """Open a session; return its id."""
        await self.send(f"GET {POLL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        body = (await self.answer()).partition(b"\r\n\r\n")[2]
        sid: str = json.loads(body[1:])["sid"]
        return sid

    async def open_websocket(self, *, joins: bool = True) -> None:
        """Open a session over a WebSocket, and join `/`."""
        await self.send(UPGRADE.encode())
        await self._reader.readuntil(b"\r\n\r\n")
        await self.read()
        if joins:
            await self.send(text_frame(f"40{AUTH}"))
            await self.read()

    def abort(self) -> None:
        """Drop the connection."""
        self._writer.transport.abort()


@asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    """Connect, until the end of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    one = Wire(reader, writer)
    try:
        yield one
    finally:
        one.abort()
        with suppress(OSError):
            await writer.wait_closed()


def text_frame(text: str, first: int = 0x81) -> bytes:
    """A text frame of a client, with a mask of zeros. `first`: other flags and another opcode."""
    return frame_head(len(data := text.encode()), first) + data


def frame_head(size: int, first: int = 0x81) -> bytes:
    """The head of a frame, which announces a size."""
    if size < 126:
        return bytes((first, 0x80 | size)) + NO_MASK
    if size < 1 << 16:
        return bytes((first, 0x80 | 126)) + size.to_bytes(2, "big") + NO_MASK
    return bytes((first, 0x80 | 127)) + size.to_bytes(8, "big") + NO_MASK
