"""Fixtures of the end-to-end tests: one broker, a cluster of three nodes, one process of JavaScript clients."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.support.broker import BrokerProcess
from tests.support.clients import SocketClient
from tests.support.cluster import Cluster
from tests.support.cluster_harness import ClusterHarness
from tests.support.cluster_nodes import ClusterNode, running_nodes
from tests.support.js_clients import JsClients
from tests.support.nats_server import NatsCluster, NatsServerProcess
from tests.support.node_config import NodeConfig
from tests.support.npm import node_modules, require_node
from tests.support.py_clients import PyClient
from tests.support.timing import LIMIT_S

__all__ = ["NODES", "ClientMaker", "NatsBroker"]

ClientMaker = Callable[..., SocketClient]
"""`make_client(library, url, way="upgrade", **options)`; library is `js` or `py`."""

_PATIENT: Any = {
    "options": {"request_timeout_s": LIMIT_S, "upgrade_timeout_s": LIMIT_S},
    "bus": {"dead_after_s": LIMIT_S},
}
NODES = (
    NodeConfig("one", **_PATIENT),
    NodeConfig("two", host="uvicorn", **_PATIENT),
    NodeConfig("three", **_PATIENT),
)
"""The hosts of a node: uvicorn as `zmqio serve` runs it, and uvicorn with its defaults. A slow one is not dead."""


def find_js_tools() -> tuple[str, Path]:
    """Node.js and the folder with the npm packages. Without them the test is skipped, or fails if `CI` is set."""
    return require_node(), node_modules("socket.io-client").parent


class NatsBroker:
    """NATS servers where a test expects a broker: they have an address, and nothing else of one."""

    def __init__(self, address: str) -> None:
        self.address = address


@asynccontextmanager
async def running_bus() -> AsyncIterator[BrokerProcess | NatsBroker]:
    """A real broker process; or what `ZMQIO_TEST_BUS` names, `nats` or `nats-cluster`."""
    match os.environ.get("ZMQIO_TEST_BUS", ""):
        case "nats":
            with NatsServerProcess() as server:
                yield NatsBroker(server.address)
        case "nats-cluster":
            with NatsCluster() as servers:
                yield NatsBroker(",".join(servers.addresses))
        case _:
            async with BrokerProcess() as process:
                yield process


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def broker() -> AsyncIterator[BrokerProcess | NatsBroker]:
    """See `running_bus`."""
    async with running_bus() as bus:
        yield bus


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own_broker() -> AsyncIterator[BrokerProcess | NatsBroker]:
    """The same for one module alone, whose nodes have no prefix of their own."""
    async with running_bus() as bus:
        yield bus


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(broker: BrokerProcess) -> AsyncIterator[Cluster]:
    """Three node processes that have discovered each other."""
    async with Cluster(broker.address, NODES) as nodes:
        yield nodes


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def nodes(broker: BrokerProcess) -> AsyncIterator[list[ClusterNode]]:
    """Three node processes with random tags that run the commands of the tests of one module."""
    options = {"request_timeout_s": LIMIT_S}
    async with running_nodes(broker.address, options=options, dead_after_s=LIMIT_S) as processes:
        yield processes


@pytest_asyncio.fixture(loop_scope="session")
async def harness(nodes: list[ClusterNode], js: JsClients) -> AsyncIterator[ClusterHarness]:
    """The three nodes, without clients at first."""
    async with ClusterHarness(nodes, js) as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def js() -> AsyncIterator[JsClients]:
    """The official JavaScript client."""
    async with JsClients(find_js_tools) as clients:
        yield clients


@pytest_asyncio.fixture(loop_scope="session")
async def make_client(js: JsClients) -> AsyncIterator[ClientMaker]:
    """Creates clients of either library and closes them at the end of the test."""
    made: list[SocketClient] = []

    def make(library: str, url: str, way: str = "upgrade", **options: Any) -> SocketClient:
        made.append(js.client(url, way, **options) if library == "js" else PyClient(url, way, **options))
        return made[-1]

    yield make
    await asyncio.gather(*(client.end() for client in made))
