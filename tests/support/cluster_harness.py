"""Official JavaScript clients at the nodes of a cluster and the events that each received."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from tests.support.cluster_app import NAMESPACES
from tests.support.cluster_nodes import ClusterNode, failure_of, wait_rooms
from tests.support.js_clients import JsClient, JsClients
from tests.support.timing import wait_until

__all__ = ["ClusterHarness"]

WAYS = ("websocket", "polling", "upgrade")


class ClusterHarness:
    """Nodes, and clients that end with the test; used as `async with`.

    Args:
        nodes: the nodes, whose rooms the test may change freely.
        js: makes the clients.
    """

    def __init__(self, nodes: Sequence[ClusterNode], js: JsClients) -> None:
        self.nodes = nodes
        self._js = js
        self._clients: list[JsClient] = []
        self._marks = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(client.end() for client in self._clients))
        for namespace in NAMESPACES:
            await wait_rooms(self.nodes[0], {}, namespace=namespace)

    async def connect(self, node: int, *rooms: str, namespace: str = "/", way: str = "", **auth: Any) -> JsClient:
        """A client at a node; each next one uses another transport, unless `way` is given."""
        way = way or WAYS[len(self._clients) % len(WAYS)]
        auth = {**auth, "rooms": rooms}
        client = self._js.client(self.nodes[node].url, way, namespace=namespace, auth=auth)
        self._clients.append(client)
        await client.connect()
        return client

    async def share(self, other: JsClient, *, namespace: str) -> JsClient:
        """A client in another namespace, on the connection of `other`."""
        client = self._js.client("", namespace=namespace, shares=other)
        self._clients.append(client)
        await client.connect()
        return client

    async def connect_each(self, *rooms: str, namespace: str = "/") -> list[JsClient]:
        """A client at each node."""
        return [await self.connect(node, *rooms, namespace=namespace) for node in range(len(self.nodes))]

    async def do(self, op: str, **command: Any) -> Any:
        """Run a command on the first node, see `ClusterApp.run`."""
        return await self.nodes[0].do(op, **command)

    async def failure(self, responses: int, op: str, **command: Any) -> dict[str, Any]:
        """The facts of a request from the first node that ends by its time limit; see `failure_of`."""
        return await failure_of(self.nodes[0], responses, op, **command)

    async def emit(self, *args: Any, **target: Any) -> None:
        """Emit `hello` with `args` from the first node."""
        await self.do("emit", event="hello", args=args, **target)

    async def receivers(self, *args: Any) -> set[JsClient]:
        """Clients that received `hello` once with `args`; waits until a later mark has reached all clients."""
        self._marks += 1
        for namespace in NAMESPACES:
            await self.do("emit", event="mark", args=[self._marks], namespace=namespace)
        connected = [client for client in self._clients if not client.received.disconnects]
        for client in connected:
            await wait_until(
                lambda client=client: [self._marks] in client.received.named("mark"), f"mark at {client}"
            )
        received = {client: client.received.named("hello") for client in self._clients}
        for client, messages in received.items():
            assert messages in ([], [list(args)]), client
        return {client for client, messages in received.items() if messages}
