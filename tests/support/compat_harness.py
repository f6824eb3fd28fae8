"""Servers of `zmqio.compat` in this process, on a bus in memory, with clients on WebSockets in memory."""

import json
from types import TracebackType
from typing import Any, Self

from tests.support.asgi import FakeWebSocket
from tests.support.memory_bus import MemoryNetwork
from tests.support.timing import wait_until
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.compat import ASGIApp, AsyncServer

__all__ = ["CompatClient", "CompatServer"]


class CompatClient:
    """One client in one namespace."""

    def __init__(self, app: Any, namespace: str, query: str, headers: dict[str, str]) -> None:
        self._socket = FakeWebSocket(app, f"EIO=4&transport=websocket{query}", **headers)
        self._prefix = "" if namespace == "/" else f"{namespace},"
        self._read = 0
        self.sid = ""

    async def connect(self, auth: Any = None) -> str:
        """Join the namespace; return the text of the answer, which is CONNECT or CONNECT_ERROR."""
        self._socket.send(f"40{self._prefix}{'' if auth is None else json.dumps(auth)}")
        await wait_until(
            lambda: any(str(text).startswith(("40", "44")) for text in self._socket.sent), "an answer"
        )
        answer = next(str(text) for text in self._socket.sent if str(text).startswith(("40", "44")))
        if answer.startswith("40"):
            self.sid = json.loads(answer[2 + len(self._prefix) :])["sid"]
        return answer.replace(self._prefix, "", 1)

    def send(self, text: str) -> None:
        """Send one packet: its type and payload, without the namespace."""
        self._socket.send(f"4{text[0]}{self._prefix}{text[1:]}")

    def leave(self) -> None:
        """Close the connection."""
        self._socket.close()

    @property
    def packets(self) -> list[Any]:
        """The packets since the last call of `wait`, without the handshake, heartbeats and the namespace."""
        texts = [text for text in self._socket.sent if isinstance(text, bytes) or text[:2] not in ("40", "44")]
        texts = [text for text in texts if isinstance(text, bytes) or text[0] == "4"]
        return [_short(text, self._prefix) for text in texts[self._read :]]

    async def wait(self, count: int = 1) -> list[Any]:
        """Wait for at least `count` packets, and return them."""
        await wait_until(lambda: len(self.packets) >= count, f"{count} packets")
        packets = self.packets
        self._read += len(packets)
        return packets


class CompatServer:
    """One `zmqio.compat.AsyncServer`; for `async with`.

    Args:
        network: the bus that it shares with others.
        options: of `AsyncServer`.

    Attributes:
        sio: the server.
        app: its ASGI app.
    """

    def __init__(self, network: MemoryNetwork | None = None, **options: Any) -> None:
        network = network or MemoryNetwork()
        factory = ClusterAdapterFactory(lambda identity: network.bus())
        self.sio = AsyncServer(factory, **options)
        self.app = ASGIApp(self.sio)

    async def __aenter__(self) -> Self:
        await self.sio.start()
        await wait_until(lambda: self.sio.io.health().ready, "the node")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.sio.shutdown()

    async def client(
        self, namespace: str = "/", auth: Any = None, *, query: str = "", **headers: str
    ) -> CompatClient:
        """A connected client."""
        client = CompatClient(self.app, namespace, query, headers)
        answer = await client.connect(auth)
        assert client.sid, answer
        return client

    async def refused(self, namespace: str = "/", auth: Any = None) -> Any:
        """The data with which a client is refused."""
        answer = await CompatClient(self.app, namespace, "", {}).connect(auth)
        assert answer.startswith("44"), answer
        return json.loads(answer[2:])


def _short(text: Any, prefix: str) -> Any:
    return text if isinstance(text, bytes) else text[1:].replace(prefix, "", 1)
