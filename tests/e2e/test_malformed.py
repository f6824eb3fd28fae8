"""Malformed input at every entrance is logged or counted, and every node continues to serve."""

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import count

import httpx
import msgpack
import pytest
import pytest_asyncio
import zmq
import zmq.asyncio
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed

from tests.support.broker import BrokerProcess
from tests.support.clients import SocketClient
from tests.support.cluster import Cluster, NodeProcess
from tests.support.js_clients import JsClients
from tests.support.malformed import (
    ALL_TOPIC,
    ROOM,
    counted_malformed_messages,
    foreign_versions,
    malformed_bus_messages,
    malformed_socketio_packets,
    push,
    random_bytes,
    throw_bytes,
)
from tests.support.timing import LIMIT_S, wait_until
from zmqio.config import REPLAY_OVERHEAD_BYTES

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROLES = ("control", "publish", "subscribe", "ingest")
SENDERS = {"ingest": zmq.PUSH, "publish": zmq.XPUB}
STRANGERS = 60
TIMES = 100
MAX_MESSAGE_BYTES = 8 << 20
MAX_PAYLOAD_BYTES = 1_000_000
COUNTERS = (
    "bus_message_malformed",
    "publish_request_rejected",
    "version_mismatches",
    "message_topic_mismatched",
)
LINES_A_KIND = 5
"""Most log lines of one kind in one of these tests: they are written every ten seconds at most."""

MARKS = count()
"""Numbers over all tests: the witnesses keep the events of earlier tests."""

StillServing = Callable[[], Awaitable[None]]


def port_of(broker: BrokerProcess, role: str) -> int:
    """The tcp port of one of the broker's endpoints."""
    return int(broker.endpoint(role).rpartition(":")[2])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def witnesses(cluster: Cluster, js: JsClients) -> AsyncIterator[list[SocketClient]]:
    """A client at each node, in one room. None may ever lose its connection."""
    ways = ("websocket", "polling", "upgrade")
    clients = [js.client(node.url, way) for node, way in zip(cluster.nodes, ways, strict=True)]
    for client in clients:
        await client.connect()
        await client.call("join", ROOM)
    yield list(clients)
    await asyncio.gather(*(client.end() for client in clients))


@pytest.fixture
def still_serving(cluster: Cluster, witnesses: list[SocketClient]) -> StillServing:
    """Returns a check: every node reaches the clients of every other, and no process has failed or restarted."""
    numbers = count(random.randrange(1 << 30))
    before = [(len(node.log_text()), len(node.log_lines("broker_lost"))) for node in cluster.nodes]

    async def check() -> None:
        for speaker in witnesses:
            number = next(numbers)
            assert await speaker.call("say", ROOM, f"alive {number}") == "ok"
            for witness in witnesses:
                await witness.wait_for(f"alive {number}")
        for witness, node, (length, losses) in zip(witnesses, cluster.nodes, before, strict=True):
            assert witness.received.disconnects == []
            assert "Traceback" not in node.log_text()[length:], node.log_text()
            assert len(node.log_lines("broker_lost")) == losses

    return check


@dataclass(frozen=True)
class LoggedAndCounted:
    """The counters and log lines of the nodes about malformed input.

    Attributes:
        counted: for each node, the total growth of its counters.
        most_lines_of_a_kind: new log lines of the event that one node logged most.
    """

    counted: list[int]
    most_lines_of_a_kind: int


class MalformedSender:
    """Sends malformed messages, followed by a mark. Once the mark arrives, all messages before it were handled."""

    def __init__(self, broker: BrokerProcess, cluster: Cluster, witnesses: list[SocketClient]) -> None:
        self._broker = broker
        self._cluster = cluster
        self._witnesses = witnesses

    async def send(self, role: str, messages: list[list[bytes]], times: int) -> LoggedAndCounted:
        lines, counted = self._lines(), await self._counted()
        mark = f"mark {next(MARKS)}"
        await asyncio.to_thread(push, self._broker.endpoint(role), messages, times, SENDERS[role], last=mark)
        for witness in self._witnesses:
            await witness.wait_for(mark)
        grown = [now - before for now, before in zip(await self._counted(), counted, strict=True)]
        new_lines = [now - before for now, before in zip(self._lines(), lines, strict=True)]
        return LoggedAndCounted(grown, max(max(new.values(), default=0) for new in new_lines))

    def _lines(self) -> list[Counter[str]]:
        return [Counter(str(line["event"]) for line in node.log_lines()) for node in self._cluster.nodes]

    async def _counted(self) -> list[int]:
        states = [await node.state() for node in self._cluster.nodes]
        counters = [state["health_details"]["counters"]["bus"] for state in states]
        return [sum(found.get(name, 0) for name in COUNTERS) for found in counters]


@pytest.fixture
def sender(broker: BrokerProcess, cluster: Cluster, witnesses: list[SocketClient]) -> MalformedSender:
    return MalformedSender(broker, cluster, witnesses)


@pytest.mark.parametrize("role", ROLES)
async def test_random_bytes_on_a_port_of_the_broker(
    broker: BrokerProcess, still_serving: StillServing, role: str
) -> None:
    before = rejections(broker, role)
    await throw_bytes(port_of(broker, role), random_bytes(STRANGERS))
    await wait_until(lambda: rejections(broker, role) > before, f"peers_rejected at {role}")
    assert rejections(broker, role) - before <= LINES_A_KIND
    await still_serving()


def rejections(broker: BrokerProcess, role: str) -> int:
    """The number of log lines about peers that were rejected at an endpoint."""
    return sum("peers_rejected" in line and f'"endpoint": "{role}"' in line for line in broker.lines)


@pytest.mark.parametrize("role", ROLES)
async def test_silent_connections_delay_no_other_client(
    broker: BrokerProcess, still_serving: StillServing, role: str
) -> None:
    connections = [await asyncio.open_connection("127.0.0.1", port_of(broker, role)) for _ in range(20)]
    await still_serving()
    for _, writer in connections:
        writer.close()


@pytest.mark.parametrize("role", SENDERS)
async def test_malformed_messages_are_all_counted_and_few_are_logged(
    broker: BrokerProcess, sender: MalformedSender, cluster: Cluster, still_serving: StillServing, role: str
) -> None:
    refused_before = broker.statistics()["ingest_refused"]
    messages = counted_malformed_messages()
    report = await sender.send(role, messages, TIMES)
    # Ingest passes on only what has the form of a request: the broker counts the rest.
    refused = [frames for frames in messages if role == "ingest" and frames[0].startswith(ALL_TOPIC)]
    assert broker.statistics()["ingest_refused"] - refused_before == TIMES * len(refused)
    assert report.counted == [TIMES * (len(messages) - len(refused))] * len(cluster.nodes)
    for node in cluster.nodes:
        assert node.log_lines("publish_request_rejected")
        assert role == "ingest" or node.log_lines("bus_message_malformed")
    assert report.most_lines_of_a_kind <= LINES_A_KIND
    report = await sender.send(role, list(malformed_bus_messages().values()), TIMES)
    assert report.most_lines_of_a_kind <= LINES_A_KIND
    await still_serving()


async def test_many_foreign_wire_versions_are_logged_in_few_lines(
    sender: MalformedSender, cluster: Cluster, still_serving: StillServing
) -> None:
    report = await sender.send("publish", foreign_versions(STRANGERS), 1)
    assert report.counted == [STRANGERS] * len(cluster.nodes)
    assert all(node.log_lines("peer_version_mismatched") for node in cluster.nodes)
    assert report.most_lines_of_a_kind <= LINES_A_KIND
    await still_serving()


@pytest.mark.parametrize("what", malformed_bus_messages())
async def test_each_malformed_message_alone_is_survived(
    sender: MalformedSender, still_serving: StillServing, what: str
) -> None:
    await sender.send("publish", [malformed_bus_messages()[what]], 1)
    await still_serving()


@pytest.mark.parametrize("role", SENDERS)
async def test_message_over_the_limit_disconnects_only_its_sender(
    broker: BrokerProcess, still_serving: StillServing, role: str
) -> None:
    huge = b"zmqio/n//\0" + bytes(MAX_MESSAGE_BYTES + 1)
    with zmq.Context() as context, context.socket(SENDERS[role]) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        with socket.get_monitor_socket(zmq.EVENT_DISCONNECTED) as monitor:
            socket.connect(broker.endpoint(role))
            if role == "publish":
                await asyncio.to_thread(socket.recv)
            socket.send(huge)
            assert await asyncio.to_thread(monitor.poll, int(LIMIT_S * 1000)), "the sender was not cut off"
            await still_serving()
            socket.disable_monitor()


async def test_a_broadcast_over_the_limit_is_an_error_for_its_emitter(
    cluster: Cluster, witnesses: list[SocketClient], still_serving: StillServing
) -> None:
    outcome = await witnesses[0].call("say_big", "nobody is here", MAX_MESSAGE_BYTES)
    assert outcome.startswith("MessageTooLargeError")
    assert str(MAX_MESSAGE_BYTES - REPLAY_OVERHEAD_BYTES) in outcome
    assert "max_message_bytes" in outcome
    await still_serving()


@pytest.mark.parametrize(
    ("request_body", "complaint"),
    [
        (b"\xc1 malformed", "msgpack"),
        (msgpack.packb({"op": "hello", "version": 99}), "version"),
        (msgpack.packb({"op": "explode"}), "op"),
        (msgpack.packb([1, 2]), "map"),
    ],
    ids=["random", "version", "operation", "array"],
)
async def test_control_port_answers_a_malformed_request_with_the_reason(
    broker: BrokerProcess, still_serving: StillServing, request_body: bytes, complaint: str
) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(broker.endpoint("control"))
        socket.send(request_body)
        assert await asyncio.to_thread(socket.poll, int(LIMIT_S * 1000)), "no answer"
        assert complaint in msgpack.unpackb(socket.recv())["error"]
    await still_serving()


async def test_random_bytes_on_the_http_port_of_a_node(cluster: Cluster, still_serving: StillServing) -> None:
    for node in cluster.nodes:
        await throw_bytes(node.port, random_bytes(STRANGERS))
    await still_serving()


REQUESTS: dict[str, tuple[str, dict[str, str], bytes]] = {
    "no query": ("GET", {}, b""),
    "no such transport": ("GET", {"EIO": "4", "transport": "carrier pigeon"}, b""),
    "an old protocol": ("GET", {"EIO": "3", "transport": "polling"}, b""),
    "an unknown session": ("GET", {"EIO": "4", "transport": "polling", "sid": "x" * 20}, b""),
    "a session that cannot be": ("GET", {"EIO": "4", "transport": "polling", "sid": "\0\n'\"" * 500}, b""),
    "a handshake by POST": ("POST", {"EIO": "4", "transport": "polling"}, b"40"),
    "another method": ("PUT", {"EIO": "4", "transport": "polling"}, b"40"),
    "WebSocket without an upgrade": ("GET", {"EIO": "4", "transport": "websocket"}, b""),
}


@pytest.mark.parametrize("what", REQUESTS)
async def test_malformed_http_requests_are_refused(
    cluster: Cluster, still_serving: StillServing, what: str
) -> None:
    method, query, body = REQUESTS[what]
    for node in cluster.nodes:
        async with httpx.AsyncClient(base_url=node.url, timeout=LIMIT_S) as http:
            answer = await http.request(method, "/socket.io/", params=query, content=body)
        assert answer.status_code == 400, (node.name, answer.text)
    await still_serving()


BODIES = {
    "random": random.Random(7).randbytes(1_000),
    "no packet type": b"hello",
    "empty": b"",
    "separators": b"\x1e" * 500,
    "bad base64": b"b!!!!",
}


async def polling_session(http: httpx.AsyncClient) -> dict[str, str]:
    """Open a session; return the query of its requests."""
    query = {"EIO": "4", "transport": "polling"}
    opened = await http.get("/socket.io/", params=query)
    return query | {"sid": json.loads(opened.text[1:])["sid"]}


@pytest.mark.parametrize("what", BODIES)
async def test_malformed_polling_body_ends_only_its_session(
    cluster: Cluster, still_serving: StillServing, what: str
) -> None:
    for node in cluster.nodes:
        async with httpx.AsyncClient(base_url=node.url, timeout=LIMIT_S) as http:
            query = await polling_session(http)
            answer = await http.post("/socket.io/", params=query, content=BODIES[what])
            assert answer.status_code == 400, (node.name, answer.text)
            assert (await http.post("/socket.io/", params=query, content=b"40")).status_code == 400
    await still_serving()


@pytest.mark.parametrize("size_bytes", [MAX_PAYLOAD_BYTES + 1, 5 * MAX_PAYLOAD_BYTES])
async def test_a_polling_body_over_the_limit_is_refused(
    cluster: Cluster, still_serving: StillServing, size_bytes: int
) -> None:
    for node in cluster.nodes:
        async with httpx.AsyncClient(base_url=node.url, timeout=LIMIT_S) as http:
            query = await polling_session(http)
            with contextlib.suppress(httpx.NetworkError, httpx.RemoteProtocolError):  # aborted in the middle
                answer = await http.post("/socket.io/", params=query, content=b"4" * size_bytes)
                assert answer.status_code == 413, (node.name, answer.text)
    await still_serving()


async def open_session(node: NodeProcess) -> ClientConnection:
    """A WebSocket that is connected to the namespace `/`."""
    websocket = await connect_websocket(
        node.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket",
        max_size=None,
        open_timeout=LIMIT_S,
    )
    await websocket.recv()
    await websocket.send("40")
    await websocket.recv()
    return websocket


@pytest.mark.parametrize("what", malformed_socketio_packets())
async def test_malformed_packets_end_at_most_their_own_connection(
    cluster: Cluster, still_serving: StillServing, what: str
) -> None:
    message = malformed_socketio_packets()[what]
    for node in cluster.nodes:
        websocket = await open_session(node)
        await websocket.send("4" + message if isinstance(message, str) else message)
        await ended_or_answered(websocket)
        await websocket.close()
    await still_serving()


async def ended_or_answered(websocket: ClientConnection) -> None:
    """Either the server has closed the connection, or it still answers on it."""
    with contextlib.suppress(ConnectionClosed):
        await websocket.send('421["echo","still here"]')
        async with asyncio.timeout(LIMIT_S):
            while await websocket.recv() != '431["still here"]':
                pass


async def test_websocket_message_over_the_limit_ends_only_its_connection(
    cluster: Cluster, still_serving: StillServing
) -> None:
    for node in cluster.nodes:
        websocket = await open_session(node)
        with pytest.raises(ConnectionClosed):
            await websocket.send("4" * (MAX_PAYLOAD_BYTES + 2))
            async with asyncio.timeout(LIMIT_S):
                while True:
                    await websocket.recv()
    await still_serving()


@pytest.mark.parametrize("event", ["join", "leave", "say"])
async def test_room_name_with_a_nul_is_an_error_for_the_caller(
    cluster: Cluster, witnesses: list[SocketClient], still_serving: StillServing, event: str
) -> None:
    for witness in witnesses:
        outcome = await witness.call(event, "no\0room", *(["x"] if event == "say" else []))
        assert outcome.startswith("TopicError")
    await still_serving()
