"""The node starts and stops with its host, whether that offers ASGI lifespan or not."""

import signal
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.e2e.conftest import ClientMaker
from tests.support.broker import BrokerProcess
from tests.support.cluster import NodeProcess
from tests.support.node_config import NodeConfig

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTS = {
    "fast": NodeConfig("fast", None),
    "lifespan": NodeConfig("lifespan", None, host="uvicorn", lifespan="on"),
    "no-lifespan": NodeConfig("no-lifespan", None, host="uvicorn", lifespan="off"),
    "mounted": NodeConfig("mounted", None, host="uvicorn", mounted=True),
}
PREFIX = "lifespan"
PATIENCE_S = 60.0
STARTS_LAZILY = ("no-lifespan", "mounted")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def patient_node(broker: BrokerProcess) -> AsyncIterator[NodeProcess]:
    """A node that never declares a silent node dead, so that it reports only goodbyes."""
    config = NodeConfig("patient", broker.address, bus={"dead_after_s": PATIENCE_S, "prefix": PREFIX})
    async with NodeProcess(config) as node:
        yield node


def node_on(broker: BrokerProcess, host: str) -> NodeProcess:
    """A node with that host, in the cluster of this module."""
    return NodeProcess(replace(HOSTS[host], adapter=broker.address, bus={"prefix": PREFIX}))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("host", HOSTS)
async def test_other_nodes_receive_a_goodbye_when_the_process_exits(
    broker: BrokerProcess, patient_node: NodeProcess, make_client: ClientMaker, host: str, number: signal.Signals
) -> None:
    async with node_on(broker, host) as node:
        client = make_client("py", node.url, "websocket")
        await client.connect()
        node_id = (await client.call("whoami"))["node_id"]
        await patient_node.wait_state("sees it", lambda state: node_id in state["nodes_joined"])
        await node.stop(number)
        state = await patient_node.wait_state(
            f"hears that {host} has gone", lambda state: node_id in [left for left, _ in state["nodes_left"]]
        )
    assert [reason for left, reason in state["nodes_left"] if left == node_id] == ["goodbye"]


@pytest.mark.parametrize("host", [host for host in HOSTS if host not in STARTS_LAZILY])
async def test_node_with_lifespan_joins_before_the_first_request(
    broker: BrokerProcess, patient_node: NodeProcess, host: str
) -> None:
    async with node_on(broker, host) as node:
        node_id = (await node.wait_log("node_started"))[0]["node_id"]
        await patient_node.wait_state("sees it", lambda state: node_id in state["nodes_joined"])
        await node.stop()
        assert [line["node_id"] for line in node.log_lines("node_stopped")] == [node_id]


@pytest.mark.parametrize("host", STARTS_LAZILY)
async def test_node_without_lifespan_starts_with_the_first_request(
    broker: BrokerProcess, make_client: ClientMaker, host: str
) -> None:
    async with node_on(broker, host) as node:
        assert (await node.state())["node_id"] is None
        client = make_client("js", node.url, "polling")
        await client.connect()
        assert (await node.state())["node_id"] == (await client.call("whoami"))["node_id"]
        assert len(node.log_lines("node_started")) == 1
