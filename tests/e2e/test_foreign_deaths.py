"""A node dies during a relayed request, as ingress or owner: every client gets a clean error."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.e2e.test_foreign_requests import BASE, open_requests, open_session, say
from tests.support.broker import BrokerProcess
from tests.support.cluster import Cluster, NodeProcess
from tests.support.cluster_nodes import new_prefix
from tests.support.js_clients import JsClients
from tests.support.node_config import NodeConfig
from tests.support.poll_connection import open_connection
from tests.support.round_robin import RoundRobin
from tests.support.timing import LIMIT_S, wait_until
from tests.support.websocket_clients import connect
from zmqio.engine.foreign_sessions import NO_BUS

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEARTBEAT_S = 0.2


@pytest_asyncio.fixture(loop_scope="session")
async def nodes(broker: BrokerProcess, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """A new cluster for each test, because one of its nodes will be killed. The parameter: `dead_after_s`."""
    dead_after_s = getattr(request, "param", LIMIT_S)
    bus = {"heartbeat_s": HEARTBEAT_S, "dead_after_s": dead_after_s, "prefix": new_prefix()}
    async with Cluster(broker.address, [NodeConfig(name, bus=bus) for name in ("one", "two", "three")]) as cluster:
        yield cluster


async def kill(node: NodeProcess) -> None:
    """SIGKILL."""
    await node.stop(signal.SIGKILL)


async def foreign_websocket(owner: NodeProcess, other: NodeProcess) -> ClientConnection:
    """Move a session of `owner` to a WebSocket at `other`."""
    sid = await open_session(owner)
    socket = await connect(f"ws://127.0.0.1:{other.port}/socket.io/?EIO=4&transport=websocket&sid={sid}")
    await socket.send("2probe")
    assert await asyncio.wait_for(socket.recv(), LIMIT_S) == "3probe"
    await socket.send("5")
    await socket.send('420["echo",0]')
    assert await asyncio.wait_for(socket.recv(), LIMIT_S) == "430[0]"
    return socket


def gone(body: bytes, sid: str, how: str = "disconnected") -> None:
    """Check that the response names the dead node."""
    refusal = json.loads(body)
    assert (refusal["code"], refusal["message"]) == (1, "Session ID unknown")
    assert (refusal["node"], refusal["reason"]) == (sid[:4], f"owner node is unreachable ({how})")


async def test_owner_killed_during_a_waiting_poll(nodes: Cluster) -> None:
    owner, other = nodes[0], nodes[1]
    sid = await open_session(owner)
    async with open_connection(other.port) as connection:
        connection.request(f"{BASE}&sid={sid}")
        await open_requests(owner, 1)
        await kill(owner)
        answer = await connection.answer()
        assert answer.status == 400
        gone(answer.body, sid)
        # The connection stays open, and the death of the node is known now.
        again = await connection.get(f"{BASE}&sid={sid}")
        assert json.loads(again.body)["reason"] == "no live node has this tag"
        live = await open_session(nodes[2])
        await say(connection, live, '420["echo",1]')
        assert (await connection.get(f"{BASE}&sid={live}")).text == "430[1]"


async def test_owner_killed_during_a_websocket(nodes: Cluster) -> None:
    socket = await foreign_websocket(nodes[0], nodes[1])
    await kill(nodes[0])
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(socket.recv(), LIMIT_S)
    assert socket.close_code == 1011
    assert socket.close_reason == ""
    await open_requests(nodes[1], 0)


async def test_owner_killed_before_it_accepts_a_websocket(nodes: Cluster) -> None:
    owner, other = nodes[0], nodes[1]
    sid = await open_session(owner)
    owner.tell(signal.SIGSTOP)
    url = f"ws://127.0.0.1:{other.port}/socket.io/?EIO=4&transport=websocket&sid={sid}"
    opening = asyncio.ensure_future(_open(url))
    await open_requests(other, 1)
    await kill(owner)
    with pytest.raises(InvalidStatus) as caught:
        await opening
    assert caught.value.response.status_code == 400
    gone(caught.value.response.body or b"", sid)


async def _open(url: str) -> ClientConnection:
    return await connect(url)


async def test_stopping_owner_answers_a_waiting_poll(nodes: Cluster) -> None:
    owner, other = nodes[0], nodes[1]
    sid = await open_session(owner)
    async with open_connection(other.port) as connection:
        connection.request(f"{BASE}&sid={sid}")
        await open_requests(owner, 1)
        await owner.stop()
        farewell = await connection.answer()
        assert (farewell.status, farewell.text) == (200, "1")


async def test_ingress_killed_during_a_poll_loses_no_packet(nodes: Cluster) -> None:
    owner, other, third = nodes.nodes
    sid = await open_session(owner)
    async with open_connection(other.port) as lost, open_connection(third.port) as connection:
        lost.request(f"{BASE}&sid={sid}")
        await open_requests(owner, 1)
        await kill(other)
        await open_requests(owner, 0)  # the poll has ended as if its client had disconnected
        await say(connection, sid, '420["echo","after"]')
        assert (await connection.get(f"{BASE}&sid={sid}")).text == '430["after"]'


async def test_poll_that_a_proxy_repeats_after_the_death_of_its_ingress_rests_at_the_owner(nodes: Cluster) -> None:
    owner, other, third = nodes.nodes
    sid = await open_session(owner)
    query = f"{BASE}&t=abc&sid={sid}"
    async with (
        open_connection(other.port) as lost,
        open_connection(third.port) as repeated,
        open_connection(third.port) as connection,
    ):
        lost.request(query)
        await open_requests(owner, 1)
        other.tell(signal.SIGSTOP)  # and not SIGKILL: the broker announces a death within milliseconds
        repeated.request(query)
        await open_requests(third, 1)
        await say(connection, sid, '420["echo","after"]')
        answer = await repeated.answer()
        assert (answer.status, answer.text) == (200, '430["after"]')
        await kill(other)


@pytest.mark.parametrize("nodes", [LIMIT_S], indirect=True, ids=["patient"])
@pytest.mark.parametrize("stamp", ["same", "other"])
async def test_response_into_a_dead_ingress_is_not_lost_in_silence(nodes: Cluster, stamp: str) -> None:
    owner, other, third = nodes.nodes
    sid = await open_session(owner)
    async with open_connection(other.port) as lost, open_connection(third.port) as connection:
        lost.request(f"{BASE}&t=same&sid={sid}")
        await open_requests(owner, 1)
        other.tell(signal.SIGSTOP)  # and not SIGKILL: the broker announces a death within milliseconds
        await say(connection, sid, '420["echo","first"]')  # acknowledged into the stopped node's poll
        await open_requests(owner, 0)
        await say(connection, sid, '421["echo","second"]')
        await kill(other)
        answer = await connection.get(f"{BASE}&t={stamp}&sid={sid}")
        if stamp == "same":
            assert answer.text == '430["first"]\x1e431["second"]'
        else:
            state = await owner.wait_state("the session has ended", lambda state: state["reasons"])
            assert list(state["reasons"].values()) == ["transport error"]
            assert "second" not in answer.text


async def test_ingress_killed_during_a_websocket_ends_the_session(nodes: Cluster) -> None:
    socket = await foreign_websocket(nodes[0], nodes[1])
    await kill(nodes[1])
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(socket.recv(), LIMIT_S)
    state = await nodes[0].wait_state("the session has ended", lambda state: state["reasons"])
    assert list(state["reasons"].values()) == ["transport close"]
    await open_requests(nodes[0], 0)


async def test_stopping_ingress_sends_polls_elsewhere(nodes: Cluster) -> None:
    owner, other, third = nodes.nodes
    sid = await open_session(owner)
    async with open_connection(other.port) as connection, open_connection(third.port) as next_one:
        connection.request(f"{BASE}&sid={sid}")
        await open_requests(owner, 1)
        stopping = asyncio.create_task(other.stop())
        sent_away = await connection.answer()
        assert (sent_away.status, sent_away.text) == (200, "6")
        await open_requests(owner, 0)
        await say(next_one, sid, '420["echo","elsewhere"]')
        assert (await next_one.get(f"{BASE}&sid={sid}")).text == '430["elsewhere"]'
        await stopping


async def test_clients_of_a_killed_node_reconnect_and_others_are_unaffected(nodes: Cluster, js: JsClients) -> None:
    async with RoundRobin([node.port for node in nodes.nodes]) as proxy:
        clients = [js.client(proxy.url, ("polling", "upgrade")[number % 2]) for number in range(12)]
        await asyncio.gather(*(client.connect() for client in clients))
        owners = [(await client.call("whoami"))["node"] for client in clients]
        while "one" not in owners:  # the node of a session depends on the requests in between
            clients.append(js.client(proxy.url, "websocket"))
            await clients[-1].connect()
            owners.append((await clients[-1].call("whoami"))["node"])
        victims = [client for client, owner in zip(clients, owners, strict=True) if owner == "one"]
        others = [client for client, owner in zip(clients, owners, strict=True) if owner != "one"]
        proxy.drop(nodes[0].port)
        await kill(nodes[0])
        await wait_until(
            lambda: all(client.received.disconnects for client in victims), "the clients of the dead node"
        )
        await nodes[1].wait_log("node_left")  # clients that it served as ingress are disconnected, too
        for number in range(5):
            alive = [client for client in others if not client.received.disconnects]
            answers = await asyncio.gather(
                *(client.call("echo", number) for client in alive), return_exceptions=True
            )
            for client, answer in zip(alive, answers, strict=True):
                if answer != number:
                    await client.wait_disconnect()
        assert {reason for client in victims for reason in client.received.disconnects} <= {
            "transport error",
            "transport close",
        }
        await asyncio.gather(*(client.connect() for client in victims))
        back = [(await client.call("whoami"))["node"] for client in victims]
        assert set(back) <= {"two", "three"}
        await asyncio.gather(*(client.end() for client in clients))


@pytest.mark.parametrize("nodes", [3.0], indirect=True, ids=["impatient"])
async def test_stopped_owner_does_not_delay_other_clients(nodes: Cluster) -> None:
    """A request that waits for a node that does not answer delays no other request."""
    owner, other = nodes[0], nodes[1]
    dead = await open_session(owner)
    live = await open_session(nodes[2])
    owner.tell(signal.SIGSTOP)
    async with open_connection(other.port) as waits, open_connection(other.port) as connection:
        waits.request(f"{BASE}&sid={dead}")
        for number in range(10):
            await say(connection, live, f'42{number}["echo",{number}]')
            assert (await connection.get(f"{BASE}&sid={live}")).text == f"43{number}[{number}]"
        answer = await waits.answer()
        assert answer.status == 400
        gone(answer.body, dead, "silent")
    await kill(owner)


async def test_session_of_a_restarted_node_with_the_same_tag_is_refused_by_it(broker: BrokerProcess) -> None:
    bus = {"prefix": new_prefix(), "dead_after_s": LIMIT_S}
    config = NodeConfig("same", adapter=broker.address, options={"node_tag": "same"}, bus=bus)
    async with NodeProcess(NodeConfig("other", adapter=broker.address, bus=bus)) as other:
        async with NodeProcess(config) as first:
            await other.wait_state("both", lambda state: state["server_count"] == 2)
            sid = await open_session(first)
        await other.wait_state("one alone", lambda state: state["server_count"] == 1)
        async with NodeProcess(config):
            await other.wait_state("both again", lambda state: state["server_count"] == 2)
            async with httpx.AsyncClient(timeout=LIMIT_S) as http:
                refused = await http.get(f"{other.url}/socket.io/?{BASE}&sid={sid}")
            assert refused.status_code == 400
            assert refused.json()["reason"].startswith("session has ended, or its node was restarted")


async def test_requests_are_refused_at_once_while_no_broker_runs_and_are_not_served_later() -> None:
    bus = {"heartbeat_s": HEARTBEAT_S, "prefix": new_prefix()}
    async with BrokerProcess() as broker:
        configs = [NodeConfig(name, bus=bus) for name in ("one", "two")]
        async with Cluster(broker.address, configs) as nodes:
            owner, other = nodes.nodes
            sid = await open_session(owner)
            await asyncio.to_thread(broker.kill)
            for node in nodes.nodes:
                await node.wait_log("broker_lost")
            for method, body in (("GET", ""), ("POST", '420["echo",1]')):
                async with open_connection(other.port) as connection:
                    connection.request(f"{BASE}&sid={sid}", method=method, body=body)
                    refused = await connection.answer()
                    assert (refused.status, json.loads(refused.body)["reason"]) == (503, NO_BUS)
            with pytest.raises(InvalidStatus) as caught:
                await connect(f"ws://127.0.0.1:{other.port}/socket.io/?EIO=4&transport=websocket&sid={sid}")
            assert caught.value.response.status_code == 503
            await asyncio.to_thread(broker.start)
            for node in nodes.nodes:
                await node.wait_state("it is back", lambda state: state["ready"] and state["server_count"] == 2)
            async with open_connection(other.port) as later:
                await say(later, sid, '421["echo",2]')
                answer = await later.get(f"{BASE}&sid={sid}")
                assert answer.text == "431[2]"  # and not of the first, which was refused
