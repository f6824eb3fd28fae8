"""Single requests at nodes that do not own their session: aborted, doubled, refused, of many sessions at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.broker import BrokerProcess
from tests.support.cluster import Cluster, NodeProcess
from tests.support.cluster_nodes import new_prefix
from tests.support.node_config import NodeConfig
from tests.support.poll_connection import PollConnection, open_connection
from tests.support.timing import LIMIT_S
from tests.support.websocket_clients import connect

pytestmark = pytest.mark.asyncio(loop_scope="session")

BASE = "EIO=4&transport=polling"
BAD_REQUEST = '{"code":3,"message":"Bad request"}'


async def open_session(node: NodeProcess) -> str:
    """Open a polling session at a node and join the namespace; the packets of the join are read."""
    return (await open_socket(node))[0]


async def open_socket(node: NodeProcess) -> tuple[str, str]:
    """The same; returns the ids of the session and of the socket."""
    async with open_connection(node.port) as own:
        opened = await own.get(BASE)
        sid = str(json.loads(opened.text[1:])["sid"])
        own.request(f"{BASE}&sid={sid}", method="POST", body="40")
        assert (await own.answer()).text == "ok"
        received = ""
        while "welcome" not in received:
            received += (await own.get(f"{BASE}&sid={sid}")).text
        return sid, received.partition('40{"sid":"')[2].partition('"')[0]


async def say(connection: PollConnection, sid: str, packet: str) -> None:
    """Send a packet with a POST."""
    connection.request(f"{BASE}&sid={sid}", method="POST", body=packet)
    answer = await connection.answer()
    assert (answer.status, answer.text) == (200, "ok")


async def open_requests(node: NodeProcess, count: int) -> None:
    """Wait until a node has that many open requests to other nodes."""
    await node.wait_state(
        f"{count} relayed requests at {node.name}",
        lambda state: state["health_details"]["relay_requests_open"] == count,
    )


async def reason_of(owner: NodeProcess, socket_id: str) -> str:
    """Wait until a socket has disconnected; its reason. Sockets of earlier tests may disconnect at any time."""
    state = await owner.wait_state("it has ended", lambda state: socket_id in state["reasons"])
    return str(state["reasons"][socket_id])


async def test_poll_that_is_aborted_at_another_node_ends_the_session(cluster: Cluster) -> None:
    owner, other = cluster[0], cluster[1]
    sid, socket_id = await open_socket(owner)
    async with open_connection(other.port) as dropped, open_connection(other.port) as third:
        dropped.request(f"{BASE}&sid={sid}")
        await open_requests(owner, 1)
        dropped.drop()
        assert await reason_of(owner, socket_id) == "transport close"
        assert (await third.get(f"{BASE}&sid={sid}")).status == 400


async def test_unknown_session_of_a_live_node_is_refused_before_its_body_arrives(cluster: Cluster) -> None:
    owner, other = cluster[0], cluster[1]
    sid = await open_session(owner)
    made_up = sid[:4] + "x" * 16
    async with open_connection(other.port) as connection:
        connection.request(f"{BASE}&sid={made_up}", "Content-Length: 1000000", method="POST")
        refused = await connection.answer()
        assert (refused.status, json.loads(refused.text)["code"], refused.headers["connection"]) == (
            400,
            1,
            "close",
        )
    await open_requests(other, 0)


async def test_second_poll_at_the_same_time_by_the_same_node_is_refused(cluster: Cluster) -> None:
    owner, other = cluster[0], cluster[1]
    sid = await open_session(owner)
    async with open_connection(other.port) as first, open_connection(other.port) as second:
        first.request(f"{BASE}&sid={sid}")
        await open_requests(owner, 1)
        refused = await second.get(f"{BASE}&sid={sid}")
        assert (refused.status, refused.text) == (400, BAD_REQUEST)
        assert (await first.answer()).text == "1"  # the session is closed, as locally
        again = await first.get(f"{BASE}&sid={sid}")
        assert again.status == 400
        refusal = json.loads(again.text)
        assert (refusal["code"], refusal["message"], refusal["node"]) == (1, "Session ID unknown", sid[:4])
        assert refusal["reason"].startswith("session has ended")


async def test_many_sessions_over_one_connection_kept_alive(cluster: Cluster) -> None:
    sids = [await open_session(cluster[number % 3]) for number in range(20)]
    async with open_connection(cluster[2].port) as connection:
        for number in range(100):
            sid = sids[number % 20]
            await say(connection, sid, f'42{number}["echo","{sid}"]')
            while (answer := await connection.get(f"{BASE}&sid={sid}")).text == "2":
                await say(connection, sid, "3")
            assert answer.text == f'43{number}["{sid}"]'


async def test_large_body_reaches_the_owner_whole(cluster: Cluster) -> None:
    sid = await open_session(cluster[0])
    text = "x" * 900_000
    async with open_connection(cluster[1].port) as connection:
        await say(connection, sid, f'420["echo","{text}"]')
        assert (await connection.get(f"{BASE}&sid={sid}")).text == f'430["{text}"]'
        connection.request(f"{BASE}&sid={sid}", method="POST", body="4" + "x" * 1_000_001)
        refused = await connection.answer()
        assert (refused.status, json.loads(refused.body)["message"]) == (
            413,
            "Request body over 1000000 bytes (max_payload_bytes)",
        )
        await say(connection, sid, '421["echo",1]')


async def test_unknown_session_is_refused_at_once_and_logged(cluster: Cluster) -> None:
    node = cluster[1]
    async with open_connection(node.port) as connection:
        for method in ("GET", "POST"):
            connection.request(f"{BASE}&sid=none{'x' * 16}", method=method, body="" if method == "GET" else "40")
            refused = await connection.answer()
            assert refused.status == 400
            assert json.loads(refused.body) == {
                "code": 1,
                "message": "Session ID unknown",
                "node": "none",
                "reason": "no live node has this tag",
            }
    with pytest.raises(InvalidStatus) as caught:
        await connect(f"ws://127.0.0.1:{node.port}/socket.io/?EIO=4&transport=websocket&sid=none{'x' * 16}")
    assert caught.value.response.status_code == 400
    assert json.loads(caught.value.response.body or b"")["node"] == "none"

    def reasons() -> set[str]:
        return {line["reason"] for line in node.log_lines("session_unknown") if line["node_tag"] == "none"}

    async with open_connection(node.port) as connection, asyncio.timeout(LIMIT_S):
        while not reasons():  # earlier refusals may have used up the lines of 10 s
            await connection.get(f"{BASE}&sid=none{'x' * 16}")
            await asyncio.sleep(0.1)
    assert reasons() == {"no live node has this tag"}


async def test_second_websocket_of_a_session_is_turned_away_as_locally(cluster: Cluster) -> None:
    owner, other, third = cluster.nodes
    sid = await open_session(owner)
    where = f"/socket.io/?EIO=4&transport=websocket&sid={sid}"
    async with connect(f"ws://127.0.0.1:{other.port}{where}") as first:
        await first.send("2probe")
        assert await asyncio.wait_for(first.recv(), LIMIT_S) == "3probe"
        async with connect(f"ws://127.0.0.1:{third.port}{where}") as second:
            await asyncio.wait_for(second.wait_closed(), LIMIT_S)
            assert second.close_code == 1000
        await first.send("5")
        await first.send('420["echo","still here"]')
        assert await asyncio.wait_for(first.recv(), LIMIT_S) == '430["still here"]'


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_slow_client_is_dropped_at_any_node(cluster: Cluster, place: int) -> None:
    owner, node = cluster[0], cluster[place]
    sid, socket_id = await open_socket(owner)
    flooder = await open_session(owner)
    async with connect(
        f"ws://127.0.0.1:{node.port}/socket.io/?EIO=4&transport=websocket&sid={sid}", max_queue=1, compression=None
    ) as slow:
        await slow.send("2probe")
        assert await asyncio.wait_for(slow.recv(), LIMIT_S) == "3probe"
        await slow.send("5")
        await slow.send(f'420["join","slow {place}"]')
        assert await asyncio.wait_for(slow.recv(), LIMIT_S) == '430["ok"]'
        async with open_connection(owner.port) as own:
            await say(own, flooder, f'42["flood","slow {place}",200,100000]')
        assert await reason_of(owner, socket_id) == "slow client"
        for one in (owner, node):
            await open_requests(one, 0)
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(LIMIT_S):
                while True:
                    await slow.recv()


@asynccontextmanager
async def young_cluster(broker: BrokerProcess, prefix: str) -> AsyncIterator[tuple[NodeProcess, NodeProcess]]:
    """A node, and one that has just been started and may not have discovered it."""
    async with AsyncExitStack() as stack:
        old, young = (
            NodeProcess(
                NodeConfig(name, adapter=broker.address, options={"node_tag": name}, bus={"prefix": prefix})
            )
            for name in ("oldN", "newN")
        )
        await stack.enter_async_context(old)
        await old.wait_state("it hears the bus", lambda state: state["ready"])
        stack.push_async_callback(young.close)
        yield old, young


async def test_node_that_has_just_started_finds_the_owner_first(broker: BrokerProcess) -> None:
    async with young_cluster(broker, new_prefix()) as (old, young):
        sid = await open_session(old)
        young.spawn()
        async with open_connection(young.port) as connection:  # waits in the backlog until the node listens
            await say(connection, sid, '420["echo","first thing"]')
            assert (await connection.get(f"{BASE}&sid={sid}")).text == '430["first thing"]'
            refused = await connection.get(f"{BASE}&sid=none{'x' * 16}")
            assert json.loads(refused.body)["reason"] == "no live node has this tag"


async def test_process_without_an_adapter_says_so_in_its_refusals() -> None:
    async with NodeProcess(NodeConfig("alone")) as node, open_connection(node.port) as connection:
        refused = await connection.get(f"{BASE}&sid=none{'x' * 16}")
        assert refused.status == 400
        assert json.loads(refused.body) == {
            "code": 1,
            "message": "Session ID unknown",
            "node": "none",
            "reason": "session was not created by this process and no adapter is configured",
        }
