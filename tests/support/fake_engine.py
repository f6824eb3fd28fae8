"""A fake engine and fake sessions that record all packets, for tests of the server layer."""

from collections.abc import Sequence
from typing import Any

from zmqio.adapter.base import Identity
from zmqio.adapter.local import LocalAdapter
from zmqio.config import EngineOptions, Recovery, ServerOptions
from zmqio.engine.direct_write import DirectWriter
from zmqio.engine.server import ClientRequest
from zmqio.ids import EngineSid, NodeId, NodeTag, make_engine_sid
from zmqio.protocol.parser import JsonParser
from zmqio.server.client import Client
from zmqio.server.namespace import Namespace
from zmqio.server.runtime import Runtime

TAG = NodeTag("tagA")
IDENTITY = Identity(NodeId("tagA-node-0001"), TAG)


class FakePrepared(tuple[str | bytes, ...]):
    """Frames that are their own packets."""

    is_shared = False

    @property
    def packets(self) -> tuple[str | bytes, ...]:
        return self


class FakeEngine:
    """An engine that does not encode: prepared packets are the frames themselves."""

    options = EngineOptions()

    def prepare(self, frames: Sequence[str | bytes]) -> FakePrepared:
        return FakePrepared(frames)


class FakeSession:
    """One connection; `sent` holds every Engine.IO message, in order."""

    transport_name = "websocket"

    def __init__(self) -> None:
        self.sid: EngineSid = make_engine_sid(TAG)
        self.sent: list[str | bytes] = []
        self.closed_with: str | None = None
        self.direct_writer = DirectWriter(self.write)

    def write(self, prepared: Any, /, *, volatile: bool = False) -> None:
        self.sent.extend(prepared)

    def close_soon(self, reason: str) -> None:
        self.closed_with = reason

    end = close_soon


class Harness:
    """Namespaces over a fake engine, and clients that connect to them.

    Args:
        identity: the node.
        factory: makes the adapters, and has started.
        options: options of the server.
    """

    def __init__(
        self,
        identity: Identity = IDENTITY,
        factory: Any = LocalAdapter,
        **options: Any,
    ) -> None:
        self.runtime = Runtime(ServerOptions(**options), JsonParser(), identity, FakeEngine())  # type: ignore[arg-type]
        self.namespaces: dict[str, Namespace] = {}
        self.factory = factory
        if isinstance(self.runtime.options.recovery, Recovery):
            self.runtime.enable_recovery(self.runtime.options.recovery, factory)

    def of(self, name: str = "/") -> Namespace:
        if name not in self.namespaces:
            self.namespaces[name] = Namespace(name, self._open)
        return self.namespaces[name]

    async def _open(self, namespace: Namespace) -> None:
        await namespace.open(self.runtime, self.factory)

    async def _find(self, name: str, _auth: Any) -> Namespace | None:
        namespace = self.namespaces.get(name)
        if namespace is not None:
            await namespace.ready()
        return namespace

    def client(self) -> tuple[Client, FakeSession]:
        session = FakeSession()
        request = ClientRequest("GET", "/socket.io/", "EIO=4&token=abc", {"host": "x"}, "127.0.0.1", False, 1.5)
        return Client(session, request, self.runtime, self._find), session  # type: ignore[arg-type]

    async def settle(self) -> None:
        """Let every handler finish."""
        await self.runtime.tasks.close(10)

    async def connected(self, name: str = "/", auth: str = "") -> tuple[Client, FakeSession]:
        """A client that has joined a namespace; the packets sent so far are cleared."""
        self.of(name)
        client, session = self.client()
        client.message(f"0{'' if name == '/' else name + ','}{auth}")
        await self.settle()
        assert str(session.sent[0]).startswith("0"), session.sent
        return client, session
