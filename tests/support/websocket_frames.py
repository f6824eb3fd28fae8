"""A WebSocket client that sends any frames: whole, partial, invalid or pipelined."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.timing import LIMIT_S

__all__ = ["BINARY", "CLOSE", "CONT", "FIN", "PING", "PONG", "TEXT", "FrameClient", "frame", "frame_client"]

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN = 0x80
MASKED = 0x80
SHORT, MEDIUM, LONG = 125, 126, 127
OPENING = (
    "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
)
ENGINE_PATH = "/socket.io/?EIO=4&transport=websocket"


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, size: int | None = None, rsv: int = 0) -> bytes:
    """One client frame with a mask of zeros; `size` announces another length than that of `data`."""
    length = len(data) if size is None else size
    head = bytes((opcode | rsv | (FIN if fin else 0),))
    if length <= SHORT:
        head += bytes((MASKED | length,))
    elif length <= 0xFFFF:
        head += bytes((MASKED | MEDIUM,)) + struct.pack("!H", length)
    else:
        head += bytes((MASKED | LONG,)) + struct.pack("!Q", length)
    return head + bytes(4) + data


class FrameClient:
    """The client's side of one connection; `head` is the server's answer to the opening request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str = "") -> None:
        self.reader = reader
        self.writer = writer
        self.head = head

    async def receive(self) -> tuple[int, bytes]:
        """The next frame of the server: opcode and payload."""
        first, data = await self.receive_raw()
        return first & 0x0F, data

    async def receive_raw(self) -> tuple[int, bytes]:
        """The next frame of the server: first byte and payload."""
        async with asyncio.timeout(LIMIT_S):
            first, length = await self.reader.readexactly(2)
            if length == MEDIUM:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == LONG:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first, await self.reader.readexactly(length)

    async def close_code(self) -> int:
        """Read to the server's Close frame; its code."""
        while True:
            opcode, data = await self.receive()
            if opcode == CLOSE:
                return int.from_bytes(data[:2], "big")

    async def ended(self) -> None:
        """Wait until the server has closed the connection."""
        async with asyncio.timeout(LIMIT_S):
            try:
                while await self.reader.read(1 << 16):
                    pass
            except ConnectionError:
                pass


@asynccontextmanager
async def frame_client(
    port: int, path: str = ENGINE_PATH, *, behind: bytes = b"", receive_buffer: int = 1 << 16, headers: str = ""
) -> AsyncIterator[FrameClient]:
    """Connect and complete the handshake.

    Args:
        port: of the server.
        path: with the query.
        behind: bytes in the same segment as the opening request.
        receive_buffer: bytes that the client's system accepts while the client does not read.
        headers: more lines of the opening request.
    """
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        writer.write(OPENING.format(path=path, headers=headers).encode() + behind)
        async with asyncio.timeout(LIMIT_S):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert " 101 " in head
        yield FrameClient(reader, writer, head)
    finally:
        writer.transport.abort()
