"""Servers of python-socketio in this process, on a bus in memory, with clients that have no transport."""

from types import TracebackType
from typing import Any, Self

import socketio
from engineio.async_socket import AsyncSocket

from tests.support.memory_bus import MemoryNetwork
from tests.support.timing import wait_until
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.python_socketio import AsyncManager

__all__ = ["ENVIRON", "ManagedServer"]

ENVIRON = {
    "REMOTE_ADDR": "10.0.0.1",
    "PATH_INFO": "/socket.io/",
    "QUERY_STRING": "EIO=4&room=a%20b",
    "HTTP_USER_AGENT": "test",
    "wsgi.url_scheme": "https",
}


class ManagedServer:
    """One `socketio.AsyncServer` with a manager of zmqio; for `async with`.

    Args:
        network: the bus that it shares with others.
        server: options of `socketio.AsyncServer`.
        manager: options of `AsyncManager`.

    Attributes:
        sio: the server.
        manager: its manager.
    """

    def __init__(
        self, network: MemoryNetwork | None = None, *, server: dict[str, Any] | None = None, **manager: Any
    ) -> None:
        network = network or MemoryNetwork()
        factory = ClusterAdapterFactory(lambda identity: network.bus())
        self.manager = AsyncManager(adapter=factory, **manager)
        options = {"async_mode": "asgi", "monitor_clients": False, "namespaces": ["/", "/chat"], **(server or {})}
        self.sio: Any = socketio.AsyncServer(client_manager=self.manager, **options)

    async def __aenter__(self) -> Self:
        await self.manager.start()
        await wait_until(lambda: self.manager.health().ready, "the node")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.manager.close()

    async def connect(self, eio_sid: str, namespace: str = "/") -> str:
        """Connect a client; return its session id, or "" if it was refused."""
        if eio_sid not in self.sio.eio.sockets:
            self.sio.eio.sockets[eio_sid] = AsyncSocket(self.sio.eio, eio_sid)
            await self.sio._handle_eio_connect(eio_sid, dict(ENVIRON))
        await self.say(eio_sid, "0" if namespace == "/" else f"0{namespace},")
        self.packets(eio_sid)
        return self.manager.sid_from_eio_sid(eio_sid, namespace) or ""

    async def say(self, eio_sid: str, *messages: str | bytes) -> None:
        """Receive messages from a client."""
        for message in messages:
            await self.sio._handle_eio_message(eio_sid, message)

    def packets(self, eio_sid: str) -> list[str | bytes]:
        """Take what waits for a client, as it goes over a WebSocket; None of python-engineio is left out."""
        queue = self.sio.eio.sockets[eio_sid].queue
        found = [queue.get_nowait() for _ in range(queue.qsize())]
        return [packet.encode() for packet in found if packet is not None]

    async def wait_packets(self, eio_sid: str, count: int = 1) -> list[str | bytes]:
        """Wait until so many packets wait for a client, and take them."""
        queue = self.sio.eio.sockets[eio_sid].queue
        await wait_until(lambda: queue.qsize() >= count, f"{count} packets for {eio_sid}")
        return self.packets(eio_sid)
