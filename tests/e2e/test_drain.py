"""A draining node disconnects its clients over a period, without avoidable loss and without blocking anyone.

With every host: uvicorn as `zmqio serve` runs it, uvicorn and hypercorn with their defaults, and mounted without
lifespan events.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import ClientMaker
from tests.support.broker import BrokerProcess
from tests.support.clients import TRANSPORTS
from tests.support.cluster import Cluster, NodeProcess
from tests.support.cluster_nodes import new_prefix
from tests.support.front import Front
from tests.support.js_clients import JsClient
from tests.support.node_config import NodeConfig
from tests.support.timing import LIMIT_S, wait_until
from zmqio.stop_requests import REPEAT_AFTER_S

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTS: dict[str, dict[str, Any]] = {
    "fast": {"host": "fast"},
    "uvicorn": {"host": "uvicorn"},
    "hypercorn": {"host": "hypercorn"},
    "mounted": {"host": "uvicorn", "mounted": True},
}
LONG_S = 100 * LIMIT_S
"""No test waits for the end of such a drain."""
OF_UVICORN = "ASGI callable returned without completing handshake."
"""The log line of uvicorn 0.54 about a WebSocket that was rejected with an HTTP response."""
OPEN = {"EIO": "4", "transport": "polling"}
COME_BACK = {"reconnection": True, "reconnectionDelay": 50, "reconnectionDelayMax": 200}


@dataclass
class Harness:
    """A node that will stop, a node that stays, and a client of the latter."""

    stopping: NodeProcess
    staying: NodeProcess
    stopping_id: str
    staying_id: str
    speaker: JsClient

    @property
    def ready_url(self) -> str:
        mounted = self.stopping.config.mounted
        return self.stopping.url + ("/socket.io/readyz" if mounted else "/readyz")

    async def stop(self) -> None:
        """Signal the node to stop, and wait until it has received the signal."""
        self.stopping.tell(signal.SIGTERM)
        await self.stopping.wait_log("drain_started")

    async def signal_again(self) -> int:
        """Signal it again once that no longer counts as a repetition of the first signal. Return its exit code."""
        await asyncio.sleep(REPEAT_AFTER_S)  # the time after which it counts as another signal
        return await self.stopping.stop()


@asynccontextmanager
async def running_harness(
    broker: BrokerProcess, make_client: ClientMaker, host: str, drain_s: float
) -> AsyncIterator[Harness]:
    bus = {"prefix": new_prefix(), "dead_after_s": LONG_S}  # the stopping node sends a goodbye
    # The session of `Lazily` sends nothing, and stays.
    patient = {"first_packet_timeout_s": LONG_S, "connect_timeout_s": LONG_S, "request_timeout_s": LIMIT_S}
    configs = [
        NodeConfig("stopping", options={**patient, "drain_s": drain_s}, bus=bus, **HOSTS[host]),
        NodeConfig("staying", options=patient, bus=bus),
    ]
    async with Lazily(broker.address, configs) as nodes:
        ids = [(await node.state())["node_id"] for node in nodes.nodes]
        speaker = make_client("js", nodes[1].url, "websocket")
        await speaker.connect()
        assert await speaker.call("join", "room") == "ok"
        try:
            yield Harness(nodes[0], nodes[1], ids[0], ids[1], speaker)  # type: ignore[arg-type]
        except BaseException:
            await nodes[0].stop(signal.SIGKILL)  # otherwise a failure would wait for the drain
            raise


class Lazily(Cluster):
    """A cluster with nodes that start with their first request."""

    async def wait_complete(self) -> None:
        for node in self.nodes:
            await node.state()
            async with httpx.AsyncClient(timeout=LIMIT_S) as http:
                assert (await http.get(f"{node.url}/socket.io/", params=OPEN)).status_code == 200
        await super().wait_complete()


async def all_of(work: "list[Awaitable[Any]]") -> None:
    await asyncio.gather(*work)


async def finish(node: NodeProcess) -> None:
    """Wait until it has exited by itself, without an error."""
    await node.wait_end()
    await expect_quiet(node)


async def expect_quiet(node: NodeProcess) -> None:
    assert node.log_lines("node_stopped")
    loud = [line["event"] for line in node.log_lines() if line["level"] in ("warning", "error", "critical")]
    loud = [event for event in loud if event != "bus_flush_timed_out"]  # a slow broker
    if node.config.host == "uvicorn":
        loud = [event for event in loud if event != OF_UVICORN]
    assert loud == []
    assert "Traceback" not in node.log_text()
    assert "never" not in node.log_text()  # "was never awaited", "exception was never retrieved"


@pytest.mark.parametrize("host", HOSTS)
async def test_drained_clients_reconnect_elsewhere_and_remaining_clients_miss_nothing(
    broker: BrokerProcess, make_client: ClientMaker, host: str
) -> None:
    async with running_harness(broker, make_client, host, drain_s=3.0) as harness:
        tags = [harness.stopping_id[:4], harness.staying_id[:4]]
        async with Front([harness.stopping, harness.staying], tags) as front:
            clients = [make_client("js", front.url, way, **COME_BACK) for way in [*TRANSPORTS] * 3]
            await all_of([client.connect() for client in clients])
            assert {(await client.call("whoami"))["node"] for client in clients} == {"stopping"}
            await all_of([client.call("join", "room") for client in clients])
            sids = [client.sid for client in clients]

            stopping = None
            answered: list[int] = []
            for number in count():
                assert await harness.speaker.call("say", "room", "number", number) == "ok"
                here = [client for client in clients if not client.received.disconnects]
                if here:
                    outcomes = await asyncio.gather(
                        here[0].call("say", "room", "from there", number), return_exceptions=True
                    )
                    answered += [number for outcome in outcomes if outcome == "ok"]
                if not here:
                    break
                stopping = stopping or asyncio.create_task(harness.stop())  # one round is complete
            assert stopping is not None
            await stopping

            await finish(harness.stopping)
            await wait_until(lambda: all(client.sid not in sids for client in clients), "all of them to be back")
            for client in clients:
                assert (await client.call("whoami"))["node"] == "staying"
                assert client.received.disconnects == ["transport close"]
                numbers = [args[0] for args in client.received.named("number")]
                assert numbers == list(range(len(numbers)))
            assert max(len(client.received.named("number")) for client in clients) > 1
            from_there = partial(harness.speaker.received.named, "from there")
            await wait_until(lambda: {*answered} <= {number for (number,) in from_there()}, "the answered ones")
            assert from_there() == sorted(from_there())
        reasons = harness.stopping.log_lines("disconnect_handler_ran")
        assert sorted(line["sid"] for line in reasons) == sorted(sids)
        assert {line["reason"] for line in reasons} == {"server shutting down"}
        state = await harness.staying.wait_state("it has gone", lambda state: state["server_count"] == 1)
        assert state["nodes_left"] == [[harness.stopping_id, "goodbye"]]


@pytest.mark.parametrize("host", HOSTS)
async def test_draining_node_serves_its_clients_and_refuses_new_ones(
    broker: BrokerProcess, make_client: ClientMaker, host: str
) -> None:
    async with (
        running_harness(broker, make_client, host, drain_s=LONG_S) as harness,
        httpx.AsyncClient(timeout=LIMIT_S) as http,
    ):
        clients = [make_client("js", harness.stopping.url, way) for way in TRANSPORTS]
        await all_of([client.connect() for client in clients])
        await all_of([client.call("join", "room") for client in clients])
        assert (await http.get(harness.ready_url)).status_code == 200
        await harness.stop()

        ready = await http.get(harness.ready_url)
        assert (ready.status_code, ready.json()["reasons"]) == (503, ["the server is shutting down"])
        assert (await http.get(harness.ready_url.replace("readyz", "healthz"))).status_code == 200
        refused = await http.get(f"{harness.stopping.url}/socket.io/", params=OPEN)
        assert (refused.status_code, refused.headers["connection"]) == (503, "close")
        assert refused.json() == {"code": 3, "message": "Server shutting down"}
        late = make_client("js", harness.stopping.url, "websocket")
        with pytest.raises(Exception, match="websocket error"):
            await late.connect()

        assert await harness.speaker.call("say", "room", "still", "here") == "ok"
        for client in clients:
            await client.wait_for("still")
            assert await client.call("echo", client.name) == client.name
            assert await client.call("say", harness.speaker.sid, "direct", client.name) == "ok"
        await harness.speaker.wait_for("direct", len(clients))
        answer = await harness.speaker.call("ask_room", "room", "who")
        assert answer == {"answers": ["who"] * (len(clients) + 1)}
        assert not any(client.received.disconnects for client in clients)

        await harness.signal_again()
        for client in clients:
            assert await client.wait_disconnect() == "transport close"
        await expect_quiet(harness.stopping)


@pytest.mark.parametrize("host", HOSTS)
async def test_open_polls_are_answered_and_the_node_exits_after_its_last_client(
    broker: BrokerProcess, make_client: ClientMaker, host: str
) -> None:
    async with running_harness(broker, make_client, host, drain_s=LONG_S) as harness:
        url = f"{harness.stopping.url}/socket.io/"
        async with httpx.AsyncClient(timeout=LIMIT_S) as http:
            opened = (await http.get(url, params=OPEN)).text
            session = OPEN | {"sid": opened.partition('"sid":"')[2].partition('"')[0]}
            poll = asyncio.ensure_future(http.get(url, params=session))
            while (await harness.stopping.census())["requests"] == 0:
                pass  # the poll is on its way
            await harness.stop()
            assert (await http.post(url, params=session, content="1")).text == "ok"  # the client leaves
            answer = await poll
            assert (answer.status_code, answer.text) == (200, "6")
            last = [sid for sid in await open_sessions(harness) if sid != session["sid"]]
            assert len(last) == 1  # that of `Lazily`
            await http.post(url, params=OPEN | {"sid": last[0]}, content="1")
        await finish(harness.stopping)


async def open_sessions(harness: Harness) -> list[str]:
    census: list[str] = (await harness.stopping.census())["session_ids"]
    return census


async def test_environment_variable_sets_the_drain_time(make_client: ClientMaker) -> None:
    config = NodeConfig("env", host="uvicorn", environment={"ZMQIO_DRAIN_S": f"{LONG_S}"})
    async with NodeProcess(config) as node:
        client = make_client("js", node.url, "websocket")
        await client.connect()
        node.tell(signal.SIGTERM)
        lines = await node.wait_log("drain_started")
        assert [(line["drain_s"], line["clients"]) for line in lines] == [(LONG_S, 1)]
        await client.disconnect()
        await finish(node)


async def test_hanging_broker_does_not_prevent_the_exit_of_a_node(make_client: ClientMaker) -> None:
    async with BrokerProcess() as broker:
        config = NodeConfig("stuck", adapter=broker.address, options={"drain_s": 0.1})
        async with NodeProcess(config) as node:
            await node.wait_state("it hears the broker", lambda state: state["ready"])
            client = make_client("js", node.url, "upgrade")
            await client.connect()
            broker.pause()
            node.tell(signal.SIGTERM)
            await node.wait_end()
            assert await client.wait_disconnect() == "transport close"
            assert [line["brokers"] for line in node.log_lines("bus_flush_timed_out")] == [[0]]
            assert node.log_lines("node_stopped")
