"""Clients are recovered although the nodes that follow theirs keep no sessions.

The keeper of a node's sessions is the node with the next id. Here the next ones are a node without the option
`recovery` and, by chance, nodes of python-socketio's manager.
"""

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.conftest import ClientMaker
from tests.e2e.test_recovery import connected
from tests.support.broker import BrokerProcess
from tests.support.cluster import NodeProcess
from tests.support.cluster_nodes import new_prefix
from tests.support.js_clients import JsClient
from tests.support.node_config import NodeConfig
from tests.support.psio_nodes import PsioNode
from tests.support.timing import LIMIT_S, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROUNDS = {signal.SIGTERM: 3, signal.SIGKILL: 2}
PLAIN_TAGS = ("bbbb", "eeee")
KEEPER_TAGS = ("aaa", "ddd")
"""Between two keepers there is always a node that keeps no sessions."""


class MixedCluster:
    """Nodes that keep no sessions, and those that do, which come and go."""

    def __init__(self, address: str, stack: AsyncExitStack) -> None:
        self._address = address
        self._stack = stack
        self._bus = {"prefix": new_prefix(), "heartbeat_s": 0.2, "dead_after_s": LIMIT_S}
        self._started = 0

    async def start_plain(self) -> None:
        """Start the nodes that keep no sessions."""
        for tag in PLAIN_TAGS:
            await self._start(NodeProcess(self._config(tag, {"node_tag": tag})))
        await self._start(PsioNode(self._config("psio", {})))

    async def start_keeper(self) -> NodeProcess:
        """Start a node that keeps sessions, and wait until it knows all others."""
        tag = f"{KEEPER_TAGS[self._started % 2]}{self._started}"
        self._started += 1
        node = await self._start(NodeProcess(self._config(tag, {"recovery": True, "node_tag": tag})))
        await node.wait_state("all nodes", lambda state: state["ready"] and state["server_count"] >= 4)
        return node

    def _config(self, name: str, options: dict[str, Any]) -> NodeConfig:
        return NodeConfig(name, adapter=self._address, options=options, bus=self._bus)

    async def _start(self, node: NodeProcess) -> NodeProcess:
        self._stack.push_async_callback(node.close)
        return await node.start()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mixed_cluster(broker: BrokerProcess) -> AsyncIterator[MixedCluster]:
    """Two nodes without the option, and one of python-socketio."""
    async with AsyncExitStack() as stack:
        cluster = MixedCluster(broker.address, stack)
        await cluster.start_plain()
        yield cluster


@pytest.mark.parametrize("how", ROUNDS, ids=["stopped", "killed"])
async def test_clients_are_recovered_among_nodes_that_keep_no_sessions(
    mixed_cluster: MixedCluster, make_client: ClientMaker, how: signal.Signals
) -> None:
    home = await mixed_cluster.start_keeper()
    clients = [await connected(make_client, home, way) for way in ("polling", "websocket")]
    for turn in range(ROUNDS[how]):
        for client in clients:
            await client.call("join", f"hall {turn}")
            await client.call("remember", "turn", turn)
        keeper = await mixed_cluster.start_keeper()
        # A new keeper gets copies of everything, in one message.
        await keeper.wait_state("the copies", copies_of)
        losses = [len(client.received.disconnects) for client in clients]
        await home.stop(how)
        speaker = await connected(make_client, keeper)
        await speaker.call("say", f"hall {turn}", "n", turn)
        for client, before in zip(clients, losses, strict=True):
            await wait_until(lambda c=client, b=before: len(c.received.disconnects) > b, "the loss")
            assert await client.return_to(keeper.url)
            seen = await client.call("whoami")
            assert (seen["node"], seen["data"]) == (keeper.name, {"turn": turn})
            assert seen["rooms"] == sorted([client.sid, *(f"hall {past}" for past in range(turn + 1))])
            assert await numbers(client, turn + 1) == list(range(turn + 1))
        home = keeper
    await home.stop()


def copies_of(state: dict[str, Any]) -> int:
    count: int = state["health_details"]["counters"]["server"].get("session_copies_received", 0)
    return count


async def numbers(client: JsClient, count: int) -> list[int]:
    await wait_until(lambda: len(client.received.named("n")) >= count, f"{count} events")
    return [args[0] for args in client.received.named("n")]
