"""A broker that requires keys: forwarding, draining, `zmqio serve` and `zmqio emit` work as without keys."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.conftest import ClientMaker
from tests.support.broker import BrokerProcess
from tests.support.clients import SocketClient
from tests.support.cluster import Cluster, process_environment
from tests.support.keys import KeyFolder
from tests.support.node_config import NodeConfig
from tests.support.round_robin import RoundRobin
from tests.support.serve_process import ServeProcess
from tests.support.timing import LIMIT_S, wait_until
from zmqio.zeromq.curve import SECRET_FILE_VARIABLE, SERVER_KEY_VARIABLE

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFolder:
    return KeyFolder(tmp_path_factory.mktemp("keys"), prefixes="zmqio")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def broker(keys: KeyFolder) -> AsyncIterator[BrokerProcess]:
    async with BrokerProcess(keys=keys) as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(broker: BrokerProcess, keys: KeyFolder) -> AsyncIterator[Cluster]:
    environment = keys.node_environment
    async with Cluster(
        broker.address,
        [NodeConfig(name, environment=environment, bus={"dead_after_s": LIMIT_S}) for name in ("one", "two")],
    ) as nodes:
        yield nodes


async def emit(
    address: str, environment: dict[str, str], timeout_s: float = LIMIT_S
) -> "subprocess.CompletedProcess[str]":
    """Run `zmqio emit news 1`."""
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "zmqio", "emit", "--adapter", address, "--timeout", str(timeout_s), "news", "1"],
        env=process_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * LIMIT_S,
    )


@pytest.mark.parametrize("way", ["polling", "upgrade"])
async def test_sessions_are_forwarded_and_broadcasts_reach_both_nodes(
    cluster: Cluster, make_client: ClientMaker, way: str
) -> None:
    async with RoundRobin([node.port for node in cluster.nodes]) as proxy:
        client = make_client("js", proxy.url, way)
        listeners = [make_client("py", node.url, "websocket") for node in cluster.nodes]
        await asyncio.gather(*(one.connect() for one in [client, *listeners]))
        for one in [client, *listeners]:
            assert await one.call("join", "room") == "ok"
        for number in range(20):
            assert await client.call("echo", number) == number
            assert await client.call("say", "room", "number", number, b"\0\xff") == "ok"
        for one in [client, *listeners]:
            assert await one.wait_for("number", 20) == [[number, b"\0\xff"] for number in range(20)]
        assert proxy.nodes_used == 2
        await client.end()


async def test_draining_node_moves_its_clients_to_the_other(
    broker: BrokerProcess, cluster: Cluster, keys: KeyFolder, make_client: ClientMaker
) -> None:
    stopping = NodeConfig("stopping", broker.address, options={"drain_s": 1.0}, environment=keys.node_environment)
    async with Cluster(broker.address, [stopping]) as started:
        node, stays = started[0], cluster[0]
        async with RoundRobin([node.port, stays.port]) as proxy:
            client = make_client("js", proxy.url, "websocket", reconnection=True, reconnectionDelay=50)
            await client.connect()
            home = await client.call("whoami")
            assert home["node"] == "stopping"
            old = client.sid
            proxy.drop(node.port)
            node.tell(signal.SIGTERM)
            await wait_until(lambda: client.sid != old, "the client to be back")
            assert (await client.call("whoami"))["node"] == "one"
            await node.wait_end()
            goodbye = [home["node_id"], "goodbye"]
            await stays.wait_state("the departure", lambda state: goodbye in state["nodes_left"])


async def test_workers_of_serve_share_a_broker_that_requires_keys(
    broker: BrokerProcess, keys: KeyFolder, make_client: ClientMaker
) -> None:
    async with ServeProcess("--broker", broker.address, environment=keys.node_environment) as server:
        await server.wait_log("broker_connected", server.workers)
        clients: list[SocketClient] = []
        pids: set[int] = set()
        while len(pids) < 2 or len(clients) < 4:
            clients.append(make_client("js", server.url, ("polling", "websocket")[len(clients) % 2]))
            await clients[-1].connect()
            pids.add((await clients[-1].call("whoami"))["pid"])
            assert len(clients) < 20
        await clients[0].call("say", "to all workers")
        sent = await emit(broker.address, keys.sender_environment)
        assert (sent.returncode, sent.stderr) == (0, "")
        for client in clients:
            assert await client.wait_for("said") == [["to all workers"]]
            assert await client.wait_for("news") == [[1]]


async def test_serve_with_a_key_that_the_broker_does_not_know_says_so(
    broker: BrokerProcess, keys: KeyFolder, tmp_path: Path
) -> None:
    stranger = keys.node_environment | {SECRET_FILE_VARIABLE: str(KeyFolder(tmp_path).node.secret_file)}
    server = ServeProcess("--broker", broker.address, environment=stranger)
    server.spawn()
    try:
        await server.wait_for(
            lambda: "does not know the key of this process" in server.log_text(), "the reason in the log"
        )
    finally:
        await server.close()


async def refusal(address: str, environment: dict[str, str], reason: str) -> "subprocess.CompletedProcess[str]":
    """Run `zmqio emit` until its error has the reason: on a busy machine, a handshake may take longer."""
    timeout_s = 1.0
    while reason not in (result := await emit(address, environment, timeout_s)).stderr and timeout_s < LIMIT_S:
        timeout_s *= 4
    return result


async def test_emit_with_a_wrong_key_fails_with_the_reason(
    broker: BrokerProcess, keys: KeyFolder, tmp_path: Path
) -> None:
    other = KeyFolder(tmp_path)
    right = keys.sender_environment
    incomplete = f"is set, but {SECRET_FILE_VARIABLE} is not"
    environments = {
        "requires keys (CURVE), and this process has none": {},
        "does not know the key of this process": right | {SECRET_FILE_VARIABLE: str(other.sender.secret_file)},
        "is not its public key": right | {SERVER_KEY_VARIABLE: other.server_key},
        incomplete: {SERVER_KEY_VARIABLE: keys.server_key},
    }
    results = await asyncio.gather(*(refusal(broker.address, env, why) for why, env in environments.items()))
    for result, reason in zip(results, environments, strict=True):
        assert reason in result.stderr
        assert result.returncode == (2 if reason == incomplete else 1)
        assert result.stderr.count("\n") == 1
