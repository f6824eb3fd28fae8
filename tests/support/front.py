"""A minimal balancer in front of nodes: it assigns TCP connections by their first request.

A request with a session id goes to the node that made it, by the tag; any other to the first node that is ready.
"""

import asyncio
import contextlib
from types import TracebackType

from tests.support.cluster import NodeProcess

__all__ = ["Front"]

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 1 << 16
TAG_LENGTH = 4


class Front:
    """Used as `async with`.

    Args:
        nodes: preferred first.
        tags: the tag of each.

    Attributes:
        url: the URL for clients.
        unready: how often a node was skipped because its `/readyz` was not 200, or it did not respond.
    """

    def __init__(self, nodes: list[NodeProcess], tags: list[str]) -> None:
        self._ports = {tag: node.port for tag, node in zip(tags, nodes, strict=True)}
        self._ready_path = {node.port: "/readyz" for node in nodes}
        for node in nodes:
            if node.config.mounted:
                self._ready_path[node.port] = "/socket.io/readyz"
        self.url = ""
        self.unready = 0
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Front":
        self._server = await asyncio.start_server(self._connected, LOOPBACK, 0)
        self.url = f"http://{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        connections = list(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        try:
            # A stream's task that ends by cancellation makes asyncio (3.11) log an error.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._carry(reader, writer)
        finally:
            writer.close()

    async def _carry(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        head = await near.readuntil(b"\r\n\r\n")
        far, to_far = await asyncio.open_connection(LOOPBACK, await self._port_for(head))
        to_far.write(head)
        try:
            await asyncio.gather(_pump(near, to_far), _pump(far, to_near))
        finally:
            to_far.close()

    async def _port_for(self, head: bytes) -> int:
        _, has_sid, rest = head.partition(b"\r\n")[0].partition(b"sid=")
        if has_sid:
            return self._ports[rest[:TAG_LENGTH].decode()]
        for port in self._ports.values():
            if await self._is_ready(port):
                return port
            self.unready += 1
        raise ConnectionError("no node is ready")

    async def _is_ready(self, port: int) -> bool:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.write(
                f"HEAD {self._ready_path[port]} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode()
            )
            status = await reader.readline()
            writer.close()
            return b" 200 " in status
        return False


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await source.read(CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()
    sink.close()
