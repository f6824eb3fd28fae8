"""One keep-alive HTTP connection with control over every byte, which a client library would hide."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.support.timing import LIMIT_S

__all__ = ["PollConnection", "Response", "open_connection"]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class PollConnection:
    """Sends request heads and reads whole answers; `headers` go with every request."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    def __init__(self, port: int, path: str, headers: tuple[str, ...]) -> None:
        self._port = port
        self._path = path
        self._headers = headers

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    def request(
        self, query: str, *headers: str, method: str = "GET", version: str = "1.1", body: str = ""
    ) -> None:
        """Send a request, whether or not earlier ones were answered."""
        length = [f"Content-Length: {len(body)}"] if body else []
        lines = [f"{method} {self._path}?{query} HTTP/{version}", "Host: x", *self._headers, *headers, *length]
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    def send(self, data: bytes) -> None:
        """Send a part of a body."""
        self._writer.write(data)

    async def answer(self) -> Response:
        """Read the next answer."""
        async with asyncio.timeout(LIMIT_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            return Response(
                int(head[0].split()[1]), headers, await self._reader.readexactly(int(headers["content-length"]))
            )

    async def exchange(self, query: str, *, method: str = "GET", body: str = "") -> Response:
        """Send a request and read its answer, as a browser does: again, if the idle connection was closed."""
        try:
            self.request(query, method=method, body=body)
            return await self.answer()
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            if getattr(error, "partial", b""):
                raise
            self.drop()
            await self.open()
            self.request(query, method=method, body=body)
            return await self.answer()

    async def get(self, query: str, *headers: str) -> Response:
        """Poll."""
        self.request(query, *headers)
        return await self.answer()

    async def ended(self) -> bool:
        """Wait until the server has closed the connection; return whether it sent nothing more."""
        async with asyncio.timeout(LIMIT_S):
            return not await self._reader.read()

    def drop(self) -> None:
        """Drop the connection."""
        self._writer.transport.abort()


@asynccontextmanager
async def open_connection(port: int, *headers: str, path: str = "/socket.io/") -> AsyncIterator[PollConnection]:
    """Connect to this machine until the end of the block."""
    connection = PollConnection(port, path, headers)
    await connection.open()
    try:
        yield connection
    finally:
        connection.drop()
