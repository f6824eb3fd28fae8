"""Nodes behind a balancer, and checks of the clients that connect through it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.balancers import Balancer, Product
from tests.support.clients import SocketClient
from tests.support.cluster import Cluster
from tests.support.cluster_nodes import new_prefix
from tests.support.js_clients import JsClients
from tests.support.node_config import NodeConfig
from tests.support.timing import LIMIT_S
from zmqio.recipes.balancing import Balancing, Mode, parse_backend

__all__ = ["TAGS", "BalancedNodes", "Crowd", "balanced_nodes"]

TAGS = ("aaaa", "AAAA", "-b_9")
"""They differ in case only, or begin with a character that is special in configurations."""


class BalancedNodes:
    """A cluster, and balancers in front of it.

    Attributes:
        cluster: its nodes.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def behind(self, product: Product, mode: Mode, **balancing: Any) -> Balancer:
        """Make a balancer in front of the nodes."""
        nodes = zip(TAGS, self.cluster.nodes, strict=True)
        backends = [parse_backend(f"{tag}=127.0.0.1:{node.port}") for tag, node in nodes]
        return product(Balancing(backends, mode, **{"clients": 500, **balancing}))


@asynccontextmanager
async def balanced_nodes(broker: str, **options: Any) -> AsyncIterator[BalancedNodes]:
    """Three node processes with configured tags that have discovered each other, and no others.

    Args:
        broker: its address.
        options: of `zmqio.Server`.
    """
    bus = {"prefix": new_prefix(), "dead_after_s": LIMIT_S}
    hosts = ("fast", "uvicorn", "fast")
    configs = [
        NodeConfig(tag, host=host, options={"node_tag": tag, **options}, bus=bus)
        for tag, host in zip(TAGS, hosts, strict=True)
    ]
    async with Cluster(broker, configs) as cluster:
        yield BalancedNodes(cluster)


class Crowd:
    """Official clients, one polling and one upgrading client from each network; used as `async with`.

    Attributes:
        clients: half polling only, half upgrading.
    """

    def __init__(self, js: JsClients, url: str, pairs: int = 6, **options: Any) -> None:
        self.clients: list[SocketClient] = [
            # nginx's ip_hash looks at the first three numbers only.
            js.client(url, way, **{"localAddress": f"127.0.{number}.1", **options})
            for number in range(1, pairs + 1)
            for way in ("polling", "upgrade")
        ]

    async def __aenter__(self) -> "Crowd":
        await asyncio.gather(*(client.connect() for client in self.clients))
        await asyncio.gather(*(client.wait_upgraded() for client in self.clients if "upgrade" in client.name))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(client.end() for client in self.clients))

    async def nodes(self) -> list[str]:
        """The node of each client."""
        return [answer["node"] for answer in await self.ask("whoami")]

    async def ask(self, event: str, *args: Any) -> list[Any]:
        """The acknowledgement of each client's event."""
        return list(await asyncio.gather(*(client.call(event, *args) for client in self.clients)))

    async def talk(self, room: str, messages: int) -> None:
        """All clients join a room and send at once; each message is acknowledged and received once, in order."""
        assert await self.ask("join", room) == ["ok"] * len(self.clients)
        await asyncio.gather(*(_speak(client, room, messages) for client in self.clients))
        for client in self.clients:
            await client.wait_for("said", messages * len(self.clients))
            self.check_received(client, messages)

    def check_received(self, listener: SocketClient, messages: int) -> None:
        """Check that the messages of every client arrived once and in order, over one connection."""
        received = listener.received.named("said")
        for speaker in self.clients:
            numbers = [number for name, number in received if name == speaker.name]
            assert numbers == list(range(messages)), f"{listener} received from {speaker}: {numbers}"
        assert len(received) == messages * len(self.clients)
        assert listener.received.disconnects == []


async def _speak(client: SocketClient, room: str, messages: int) -> None:
    for number in range(messages):
        assert await client.call("echo", client.name, number) == [client.name, number]
        assert await client.call("say", room, "said", client.name, number) == "ok"
