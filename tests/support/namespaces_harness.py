"""A harness with the real table of namespaces, for namespaces that clients create by connecting."""

from collections.abc import Awaitable
from typing import Any

from tests.support.fake_engine import FakeSession, Harness
from zmqio.adapter.local import LocalAdapter
from zmqio.server.client import Client
from zmqio.server.namespace import Namespace
from zmqio.server.namespaces import Namespaces

__all__ = ["NamespacesHarness"]


class NamespacesHarness(Harness):
    """`Harness` whose namespaces are found and created by `table`.

    Attributes:
        opened: the name of each opened namespace, in order.
        closed: the name of each closed namespace, in order.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.table = Namespaces(self._open, self.runtime.options)
        self.opened: list[str] = []
        self.closed: list[str] = []

    async def enter(self, name: str, auth: str = "") -> tuple[Client, FakeSession]:
        """Connect a client to a namespace."""
        client, session = self.client()
        client.message(f"0{name},{auth}")
        await self.settle()
        return client, session

    async def leave(self, client: Client) -> None:
        """End the connection and wait until its handlers have run."""
        client.closed("transport close")
        await self.settle()

    async def _open(self, namespace: Namespace) -> None:
        opened, closed = self.opened, self.closed

        class Noted(LocalAdapter):
            async def open(self) -> None:
                opened.append(self.namespace)

            async def close(self) -> None:
                closed.append(self.namespace)

        self.table.restore(namespace)
        await namespace.open(self.runtime, Noted)

    def _find(self, name: str, auth: Any) -> Namespace | Awaitable[Namespace | None]:
        return self.table.find(name, auth)
