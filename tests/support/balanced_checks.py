"""Checks that hold behind every balancer and in every mode; the tests of each product run them."""

import asyncio
import signal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.support.balanced import TAGS, BalancedNodes, Crowd
from tests.support.balancers import Balancer, Product
from tests.support.clients import ConnectFailed
from tests.support.js_clients import JsClients
from tests.support.timing import LIMIT_S
from zmqio.recipes.balancing import Mode

__all__ = [
    "check_bodies",
    "check_dead_node",
    "check_dead_node_is_avoided",
    "check_forwarded_headers",
    "check_messages",
    "check_origin",
    "check_outer_proxy",
    "check_whole_networks",
]

MESSAGES = 10
BODY_BYTES = 900_000
LOOPBACK = "127.0.0.1"


async def check_messages(nodes: BalancedNodes, js: JsClients, product: Product, mode: Mode) -> None:
    """Polling and upgrading clients on several nodes: every message once and in order, no connection lost."""
    async with nodes.behind(product, mode) as balancer, Crowd(js, balancer.url) as crowd:
        await crowd.talk("room", MESSAGES)
        assert len(set(await crowd.nodes())) > 1


async def check_whole_networks(nodes: BalancedNodes, js: JsClients, product: Product) -> None:
    """All clients of one network are on one node, because the address decides."""
    async with nodes.behind(product, "address") as balancer, Crowd(js, balancer.url) as crowd:
        found = await crowd.nodes()
        assert found[::2] == found[1::2]


async def check_bodies(nodes: BalancedNodes, js: JsClients, product: Product, mode: Mode) -> None:
    """A body a little under `max_payload_bytes` goes through both ways, by polling and by WebSocket."""
    text = "\U0001f600\\\"'" * (BODY_BYTES // 12)
    async with nodes.behind(product, mode) as balancer, Crowd(js, balancer.url, pairs=1) as crowd:
        assert await crowd.ask("echo", text) == [text, text]


async def check_forwarded_headers(nodes: BalancedNodes, js: JsClients, product: Product, mode: Mode) -> None:
    """The node knows the address and the requested URL of the client."""
    async with nodes.behind(product, mode) as balancer, Crowd(js, balancer.url, pairs=2) as crowd:
        seen = await crowd.ask("whoami")
        assert [one["address"] for one in seen] == ["127.0.1.1", "127.0.1.1", "127.0.2.1", "127.0.2.1"]
        for one in seen:
            headers = one["headers"]
            assert headers["x-forwarded-proto"] == "http"
            assert headers["host"] == headers["x-forwarded-host"] == f"{LOOPBACK}:{balancer.port}"


async def check_origin(nodes: BalancedNodes, product: Product) -> None:
    """Pages of the balancer's own origin may connect, others may not, as without a balancer."""
    async with nodes.behind(product, "address") as balancer:
        assert await asyncio.to_thread(_handshake, balancer, balancer.url) == 200
        assert await asyncio.to_thread(_handshake, balancer, "http://elsewhere.example") == 403


async def check_outer_proxy(nodes: BalancedNodes, js: JsClients, product: Product) -> None:
    """What a listed outer proxy states is kept; what any other client states is not."""
    outer, stranger = "127.0.9.1", "127.0.8.1"
    stated = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9"}
    async with nodes.behind(product, "round-robin", outer_proxies=[outer]) as balancer:
        page = stated | {"origin": f"https://{LOOPBACK}:{balancer.port}"}
        for address, expected in ((outer, "203.0.113.9"), (stranger, None)):
            client = js.client(balancer.url, "polling", localAddress=address, extraHeaders=page)
            if expected is None:
                with pytest.raises(ConnectFailed):
                    await client.connect()
            else:
                await client.connect()
                assert (await client.call("whoami"))["address"] == expected
            await client.end()


async def check_dead_node(nodes: BalancedNodes, js: JsClients, product: Product, mode: Mode) -> None:
    """If a node is killed, its clients are disconnected, all others are unaffected, and new clients are served."""
    async with nodes.behind(product, mode) as balancer, Crowd(js, balancer.url) as crowd:
        homes = await crowd.nodes()
        dead = homes[0]
        await next(node for node in nodes.cluster.nodes if node.name == dead).stop(signal.SIGKILL)
        for client, home in zip(crowd.clients, homes, strict=True):
            if home == dead:
                await client.wait_disconnect()
        async with Crowd(js, balancer.url) as later:
            await later.talk("later", 2)
            assert set(await later.nodes()) <= set(TAGS) - {dead}
        for client, home in zip(crowd.clients, homes, strict=True):
            if home != dead:
                assert await client.call("echo", 1) == 1
                assert client.received.disconnects == []


async def check_dead_node_is_avoided(nodes: BalancedNodes, js: JsClients, product: Product) -> None:
    """Requests that would have gone to a dead node go to another one, and no connection is lost."""
    async with nodes.behind(product, "round-robin") as balancer:
        await nodes.cluster[1].stop(signal.SIGKILL)
        async with Crowd(js, balancer.url) as crowd:
            await crowd.talk("room", MESSAGES)
            assert set(await crowd.nodes()) == {TAGS[0], TAGS[2]}


def _handshake(balancer: Balancer, origin: str) -> int:
    request = Request(f"{balancer.url}/socket.io/?EIO=4&transport=polling", headers={"Origin": origin})
    try:
        with urlopen(request, timeout=LIMIT_S) as answer:
            status: int = answer.status
            return status
    except HTTPError as error:
        with error:
            return error.code
