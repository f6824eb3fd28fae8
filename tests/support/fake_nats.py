"""A scripted NATS server in this process: it says what a test wants, and records the commands that it receives."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.support.timing import wait_until

__all__ = ["FakeNats", "running_fake_nats"]


class FakeNats:
    """Accepts any number of clients and answers each PING.

    Attributes:
        info: the fields of INFO.
        refusal: if set, CONNECT is answered with this error, and the connection is closed.
        answers: whether PING is answered.
        lines: all commands received, without payloads of PUB.
        port: its port.
    """

    def __init__(self, **info: Any) -> None:
        self.info = {"server_id": "S1", "version": "2.15.1", "max_payload": 1 << 20, **info}
        self.refusal = ""
        self.answers = True
        self.lines: list[bytes] = []
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def address(self) -> str:
        """Its address."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def clients(self) -> int:
        """Number of open connections."""
        return len(self._writers)

    def commands(self, name: bytes) -> list[bytes]:
        """The commands that begin with a word."""
        return [line for line in self.lines if line.split(b" ")[0] == name]

    def send(self, data: bytes) -> None:
        """Send bytes to every client."""
        for writer in self._writers:
            writer.write(data)

    def send_info(self, **changes: Any) -> None:
        """Send every client a new INFO."""
        self.info.update(changes)
        self.send(self._info())

    def drop(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.close()

    async def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition holds."""
        await wait_until(condition, what)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        writer.write(self._info())
        self._writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                await self._handle(line.rstrip(b"\r\n"), reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self._writers.remove(writer)

    async def _handle(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines.append(line)
        if line.startswith(b"CONNECT") and self.refusal:
            writer.write(f"-ERR '{self.refusal}'\r\n".encode())
            writer.close()
        elif line == b"PING" and self.answers:
            writer.write(b"PONG\r\n")
        elif line.startswith(b"PUB "):
            await reader.readexactly(int(line.rpartition(b" ")[2]) + 2)

    def _info(self) -> bytes:
        return b"INFO " + json.dumps(self.info).encode() + b" \r\n"


@asynccontextmanager
async def running_fake_nats(**info: Any) -> AsyncIterator[FakeNats]:
    """A started server on a free port."""
    fake = FakeNats(**info)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        fake.drop()
        await server.wait_closed()
        await wait_until(lambda: fake.clients == 0, "all clients are gone")
