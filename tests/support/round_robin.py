"""An HTTP proxy without stickiness: every *request* goes to the next node, on one connection or many.

A WebSocket goes to the next node, too, and stays there. The connection to the node is closed when the client
disconnects.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from itertools import cycle
from types import TracebackType
from typing import Self

__all__ = ["RoundRobin"]

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 1 << 16

_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class RoundRobin:
    """The proxy; used as `async with`.

    Args:
        ports: of the nodes, on this machine.

    Attributes:
        port: its own.
        requests: (port of a node, method) -> number of requests; WebSockets count as `WEBSOCKET`.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self.port = 0
        self.requests: Counter[tuple[int, str]] = Counter()
        self._ports = list(ports)
        self._turns = cycle(self._ports)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def nodes_used(self) -> int:
        """The number of nodes that received requests."""
        return len({port for port, _ in self.requests})

    def drop(self, port: int) -> None:
        """Stop sending to a node, as a balancer with health checks does when the node is gone."""
        self._ports.remove(port)
        self._turns = cycle(self._ports)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, LOOPBACK, 0, limit=CHUNK_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        client = _Client(reader, writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while await self._serve(client):
                    pass
        except asyncio.CancelledError:
            pass  # the proxy ends
        finally:
            self._tasks.discard(task)
            client.close()

    async def _serve(self, client: "_Client") -> bool:
        """One request; False if the connection ends with it."""
        head = await client.head()
        port = next(self._turns)
        fields = _fields(head)
        is_websocket = fields.get("upgrade", "").lower() == "websocket"
        self.requests[port, "WEBSOCKET" if is_websocket else head.split(b" ", 1)[0].decode()] += 1
        node = await client.node(port)
        node[1].write(head)
        if is_websocket:
            await client.tunnel(node)
            return False
        await _copy(client, node[1], int(fields.get("content-length", "0")))
        return await client.answer_from(node)


class _Client:
    """A client's connection, and those to the nodes that were opened for it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._peeked = b""
        self._nodes: dict[int, _Stream] = {}

    async def head(self) -> bytes:
        """The next request head."""
        peeked, self._peeked = self._peeked, b""
        return peeked + await self._reader.readuntil(b"\r\n\r\n")

    async def read(self, size: int) -> bytes:
        """Some of the body."""
        return await self._reader.read(size)

    async def node(self, port: int) -> _Stream:
        """The connection to a node."""
        if port not in self._nodes or self._nodes[port][0].at_eof():
            self._nodes[port] = await asyncio.open_connection(LOOPBACK, port)
        return self._nodes[port]

    async def answer_from(self, node: _Stream) -> bool:
        """Forward one response; return False if the client disconnects before it."""
        answer = asyncio.ensure_future(node[0].readuntil(b"\r\n\r\n"))
        more = asyncio.ensure_future(self._reader.read(1))
        await asyncio.wait((answer, more), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            self._peeked = more.result()
            if not self._peeked:
                await _end(answer)
                return False
        await _end(more)
        head = await answer
        length = int(_fields(head).get("content-length", "0"))
        self._writer.write(head + await node[0].readexactly(length))
        await self._writer.drain()
        return True

    async def tunnel(self, node: _Stream) -> None:
        """Forward bytes both ways until either side closes."""
        ways = (_pump(self._reader, node[1]), _pump(node[0], self._writer))
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """Close all of them."""
        for _, writer in (*self._nodes.values(), (None, self._writer)):
            writer.close()


async def _end(task: "asyncio.Future[bytes]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _copy(client: _Client, writer: asyncio.StreamWriter, size: int) -> None:
    while size > 0:
        chunk = await client.read(min(size, CHUNK_BYTES))
        if not chunk:
            raise ConnectionError("the client has gone in the middle of its body")
        size -= len(chunk)
        writer.write(chunk)
        await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()


def _fields(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
