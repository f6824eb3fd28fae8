"""Official clients lose their connection and return to their session."""

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.conftest import ClientMaker
from tests.support.balanced import BalancedNodes, balanced_nodes
from tests.support.balancers import Product, haproxy, nginx
from tests.support.broker import BrokerProcess
from tests.support.clients import TRANSPORTS
from tests.support.cluster import Cluster, NodeProcess
from tests.support.cluster_nodes import new_prefix
from tests.support.js_clients import JsClient
from tests.support.node_config import NodeConfig
from tests.support.timing import LIMIT_S, wait_until
from zmqio.recipes.balancing import MODES, Mode

pytestmark = pytest.mark.asyncio(loop_scope="session")

WAYS = list(TRANSPORTS)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def alone() -> AsyncIterator[NodeProcess]:
    """A node without a bus."""
    async with NodeProcess(NodeConfig("alone", options={"recovery": True})) as node:
        yield node


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def trio(broker: BrokerProcess) -> AsyncIterator[Cluster]:
    """Three nodes that recover sessions."""
    bus = {"prefix": new_prefix()}
    configs = [NodeConfig(name, options={"recovery": True}, bus=bus) for name in ("one", "two", "three")]
    async with Cluster(broker.address, configs) as nodes:
        yield nodes


async def connected(make_client: ClientMaker, node: NodeProcess, way: str = "websocket") -> JsClient:
    client = make_client("js", node.url, way)
    assert isinstance(client, JsClient)
    await client.connect()
    await client.wait_for("welcome")
    return client


def numbers(client: JsClient) -> list[int]:
    return [args[0] for args in client.received.named("n")]


async def received(client: JsClient, count: int) -> list[int]:
    await wait_until(lambda: len(numbers(client)) >= count, f"{count} events")
    return numbers(client)


@pytest.mark.parametrize("way", WAYS)
async def test_id_rooms_data_and_missed_events_come_back_on_the_same_node(
    alone: NodeProcess, make_client: ClientMaker, way: str
) -> None:
    client, other = await connected(make_client, alone, way), await connected(make_client, alone)
    room = f"room of {client.name}"
    assert await client.call("join", room) == "ok"
    await client.call("remember", "name", "Ada")
    await other.call("say", room, "n", 1)
    await received(client, 1)
    sid = client.sid
    await client.lose_connection()
    for number in range(2, 6):
        await other.call("say", room, "n", number)
    await other.call("say", client.sid, "n", 6)
    await other.call("say", "another room", "n", 0)
    assert await client.return_to(alone.url)
    assert await received(client, 6) == [1, 2, 3, 4, 5, 6]
    seen = await client.call("whoami")
    assert (seen["sid"], client.sid) == (sid, sid)
    assert seen["rooms"] == sorted([sid, room])
    assert seen["data"] == {"name": "Ada"}
    assert seen["recovered"] and seen["recovery_gaps"] == []
    assert seen["auth"] == {}


async def test_a_client_is_recovered_many_times_in_a_row(alone: NodeProcess, make_client: ClientMaker) -> None:
    client, other = await connected(make_client, alone), await connected(make_client, alone)
    await client.call("join", "again")
    for turn in range(10):
        await other.call("say", "again", "n", 2 * turn)
        await client.lose_connection()
        await other.call("say", "again", "n", 2 * turn + 1)
        assert await client.return_to(alone.url)
    assert await received(client, 20) == list(range(20))


async def test_acknowledged_events_are_not_sent_again(alone: NodeProcess, make_client: ClientMaker) -> None:
    client, other = await connected(make_client, alone), await connected(make_client, alone)
    await client.call("join", "asked")
    await client.lose_connection()
    assert await other.call("ask_room", "asked", 1) == {"answers": []}
    await other.call("say", "asked", "n", 1)
    assert await client.return_to(alone.url)
    assert await received(client, 1) == [1]
    assert client.received.named("question") == []


async def test_after_the_limit_a_client_has_a_new_session(make_client: ClientMaker) -> None:
    options = {"recovery": {"max_disconnection_s": 0.2}}
    async with NodeProcess(NodeConfig("brief", options=options)) as node:
        client = await connected(make_client, node)
        sid = client.sid
        await client.lose_connection()

        await node.wait_state(
            "the end of the session",
            lambda state: state["health_details"]["counters"]["server"].get("suspended_sessions_expired"),
        )
        assert not await client.return_to(node.url)
        assert client.sid != sid


@pytest.mark.parametrize("way", WAYS)
async def test_id_rooms_data_and_missed_events_come_back_on_another_node(
    trio: Cluster, make_client: ClientMaker, way: str
) -> None:
    client = await connected(make_client, trio[0], way)
    speakers = [await connected(make_client, node) for node in trio.nodes]
    room = f"room of {client.name}"
    assert await client.call("join", room) == "ok"
    await client.call("remember", "name", "Ada")
    await speakers[2].call("say", room, "n", 0)
    await received(client, 1)
    sid = client.sid
    for turn, node in enumerate((trio[1], trio[2], trio[0])):
        before = len(numbers(client))
        await client.lose_connection()
        for number, speaker in enumerate(speakers):
            for step in range(3):
                await speaker.call("say", room if step else sid, "n", 100 * turn + 10 * number + step + 1)
        assert await client.return_to(node.url)
        found = (await received(client, before + 9))[before:]
        assert sorted(found) == [100 * turn + 10 * number + step + 1 for number in range(3) for step in range(3)]
        for number in range(3):
            of_one = [n for n in found if n % 100 // 10 == number]
            assert of_one == sorted(of_one)
        seen = await client.call("whoami")
        assert (seen["sid"], seen["node"], seen["data"]) == (sid, node.name, {"name": "Ada"})
        assert seen["rooms"] == sorted([sid, room])
        assert seen["recovered"] and seen["recovery_gaps"] == []
    for speaker in speakers:
        assert await speaker.call("ask_room", sid, 5) == {"answers": [5]}


async def test_nothing_is_lost_or_doubled_while_all_nodes_send(trio: Cluster, make_client: ClientMaker) -> None:
    client = await connected(make_client, trio[0])
    speakers = [await connected(make_client, node) for node in trio.nodes]
    await client.call("join", "busy")
    floods = [asyncio.ensure_future(speaker.call("flood", "busy", 1_000, 30)) for speaker in speakers]
    for turn in range(1, 6):
        await client.lose_connection()
        assert await client.return_to(trio[turn % 3].url)
    await asyncio.gather(*floods)

    def arrived() -> list[int]:
        return [args[0] for args in client.received.named("flood")]

    await wait_until(lambda: len(arrived()) >= 3_000, "all events")
    assert sorted(arrived()) == sorted(3 * list(range(1_000)))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def balanced(broker: BrokerProcess) -> AsyncIterator[BalancedNodes]:
    """Three nodes that recover sessions, for the balancers in front of them."""
    async with balanced_nodes(broker.address, recovery=True) as nodes:
        yield nodes


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("product", [nginx, haproxy])
async def test_clients_are_recovered_behind_a_balancer(
    balanced: BalancedNodes, make_client: ClientMaker, product: Product, mode: Mode
) -> None:
    async with balanced.behind(product, mode) as balancer:
        speaker = await connected(make_client, balanced.cluster[0])
        for way in ("polling", "websocket"):
            client = make_client("js", balancer.url, way)
            assert isinstance(client, JsClient)
            await client.connect()
            await client.wait_for("welcome")
            room = f"room of {client.name}"
            await client.call("join", room)
            for number in range(4):
                await speaker.call("say", room, "n", 2 * number)
                await client.lose_connection()
                await speaker.call("say", room, "n", 2 * number + 1)
                assert await client.return_to(balancer.url)
            assert await received(client, 8) == list(range(8))
            await client.disconnect()


async def test_a_client_is_recovered_after_the_stop_of_its_node(
    broker: BrokerProcess, make_client: ClientMaker
) -> None:
    bus = {"prefix": new_prefix()}
    configs = [NodeConfig(name, options={"recovery": True}, bus=bus) for name in ("stops", "stays")]
    async with Cluster(broker.address, configs) as (stops, stays):
        clients = [await connected(make_client, stops, way) for way in WAYS]
        leaves, speaker = await connected(make_client, stops), await connected(make_client, stays)
        for client in clients:
            await client.call("join", "hall")
            await client.call("remember", "name", client.name)
        await leaves.call("say", "hall", "n", 1)
        for client in clients:
            await received(client, 1)
            await client.lose_connection()
        await leaves.call("say", "hall", "n", 2)
        for client in clients:
            await leaves.call("say", client.sid, "n", 3)
        await speaker.call("say", "hall", "n", 4)
        await stops.stop()
        await speaker.call("say", "hall", "n", 5)
        for client in clients:
            assert await client.return_to(stays.url)
            found = await received(client, 5)
            assert sorted(found) == [1, 2, 3, 4, 5]
            assert [n for n in found if n < 4] == [1, 2, 3] and [n for n in found if n > 3] == [4, 5]
            seen = await client.call("whoami")
            assert (seen["data"], seen["recovery_gaps"]) == ({"name": client.name}, [])
            assert seen["rooms"] == sorted([client.sid, "hall"])


async def test_a_client_is_recovered_after_the_death_of_its_node(
    broker: BrokerProcess, make_client: ClientMaker
) -> None:
    bus = {"prefix": new_prefix(), "heartbeat_s": 0.2, "dead_after_s": LIMIT_S}
    configs = [NodeConfig(name, options={"recovery": True}, bus=bus) for name in ("dies", "stays")]
    async with Cluster(broker.address, configs) as (dies, stays):
        clients = [await connected(make_client, dies, way) for way in ("websocket", "polling")]
        leaves, speaker = await connected(make_client, dies), await connected(make_client, stays)
        for client in clients:
            await client.call("join", "hall")
        await leaves.call("say", "hall", "n", 1)
        await speaker.call("say", "hall", "n", 2)
        for turn in range(2):
            for client in clients:
                await client.call("remember", "turn", turn)
            await _copy_all(clients, turn, stays)
        await speaker.call("say", "hall", "n", 3)
        for client in clients:
            await received(client, 3)
        dead = (await dies.state())["node_id"]
        await dies.stop(signal.SIGKILL)
        await speaker.call("say", "hall", "n", 4)
        for client in clients:
            await wait_until(lambda client=client: client.received.disconnects, "the loss of the connection")
            assert await client.return_to(stays.url)
            await speaker.call("say", client.sid, "n", 5)
            assert await received(client, 5) == [1, 2, 3, 4, 5]
            seen = await client.call("whoami")
            assert (seen["data"], seen["recovery_gaps"]) == ({"turn": 1}, [dead])
            assert seen["rooms"] == sorted([client.sid, "hall"])


async def _copy_all(clients: list[JsClient], turn: int, keeper: NodeProcess) -> None:
    """Wait until the keeper has copies of all sessions with their newest data."""
    before = await _copies(keeper)
    async with asyncio.timeout(LIMIT_S):
        # The first copies may have been made before the last client's data changed.
        while await _copies(keeper) < before + 2:
            for client in clients:
                await client.call("remember", "turn", turn)  # only what has changed is copied
            await asyncio.sleep(0.05)


async def _copies(node: NodeProcess) -> int:
    return _copies_in(await node.state())


def _copies_in(state: dict[str, Any]) -> int:
    count: int = state["health_details"]["counters"]["server"].get("session_copies_received", 0)
    return count
