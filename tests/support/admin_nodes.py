"""Servers with an admin page on a bus in memory, and Socket.IO clients of them, all in one process."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.asgi import FakeWebSocket
from tests.support.memory_bus import MemoryNetwork
from tests.support.timing import wait_until
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.config import BusOptions
from zmqio.server.admin.password import PasswordHash, derive_key
from zmqio.server.server import Server

__all__ = ["USER", "FakeClient", "admin_nodes", "cheap_hash"]

BUS = BusOptions(heartbeat_s=0.05, dead_after_s=2)
PASSWORD = "a good password"
USER = {"username": "ops", "password": PASSWORD}


def cheap_hash(password: str = PASSWORD) -> str:
    """The hash of a password with the lowest cost."""
    return str(PasswordHash(1, 1, 1, b"salt", derive_key(password, b"salt", 1, 1, 1)))


class FakeClient:
    """One client, in one namespace.

    Attributes:
        answer: the payload of the CONNECT or CONNECT_ERROR packet.
    """

    def __init__(self, io: Server, namespace: str = "/", auth: Any = None) -> None:
        self.namespace = namespace
        self.answer: dict[str, Any] = {}
        self.websocket = FakeWebSocket(io.engine.handle, "EIO=4&transport=websocket")
        self._auth = auth
        self._prefix = "" if namespace == "/" else f"{namespace},"

    async def connect(self) -> "FakeClient":
        """Enter the namespace, and wait for the answer."""
        await wait_until(lambda: self.websocket.sent, "the open packet")
        self.websocket.send(f"40{self._prefix}{'' if self._auth is None else json.dumps(self._auth)}")
        await wait_until(lambda: self._packets("40") + self._packets("44"), "the answer to CONNECT")
        self.answer = json.loads((self._packets("40") + self._packets("44"))[0])
        return self

    @property
    def sid(self) -> str:
        """The Socket.IO id."""
        return str(self.answer["sid"])

    def events(self, *names: str) -> list[list[Any]]:
        """The events received so far, each with its arguments; only those of some names, if any are given."""
        found = [json.loads(text) for text in self._packets("42")]
        return [event for event in found if not names or event[0] in names]

    async def wait_for(self, name: str, count: int = 1) -> list[Any]:
        """Wait until `count` events of this name have arrived; return the last one's arguments."""
        await wait_until(lambda: len(self.events(name)) >= count, f"{count} {name!r} among {self.events()}")
        return self.events(name)[count - 1][1:]

    def emit(self, event: str, *args: Any) -> None:
        """Send an event."""
        self.websocket.send(f"42{self._prefix}{json.dumps([event, *args])}")

    @property
    def disconnected(self) -> bool:
        """Whether the server has disconnected the client."""
        return f"41{self._prefix}" in self.websocket.sent or self.websocket.close_code is not None

    def _packets(self, kind: str) -> list[str]:
        start = f"{kind}{self._prefix}"
        texts = [text for text in self.websocket.sent if isinstance(text, str) and text.startswith(start)]
        return [text.removeprefix(start) for text in texts]


@asynccontextmanager
async def admin_nodes(count: int = 2, **options: Any) -> AsyncIterator[list[Server]]:
    """Run servers of one cluster that call `io.admin(**options)`, with the namespaces `/` and `/chat`."""
    network = MemoryNetwork()
    login = {} if options.get("insecure") else {"username": USER["username"], "password": cheap_hash()}
    servers = [Server(ClusterAdapterFactory(lambda identity: network.bus(), BUS)) for _ in range(count)]
    try:
        for io in servers:
            io.of("/chat")
            io.admin(**{**login, **options})
            await io.start()
        await wait_until(lambda: all(io.server_count() == count for io in servers), "the nodes to know each other")
        yield servers
    finally:
        for io in servers:
            await io.close()
