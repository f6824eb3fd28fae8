"""Membership of the cluster: node tags that clash, and a node of another wire version."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgpack
import pytest
import zmq

import zmqio
from tests.support.broker import BrokerProcess
from tests.support.broker_peers import connected
from tests.support.cluster_harness import ClusterHarness
from tests.support.cluster_nodes import NAMES, ClusterNode, wait_counts
from tests.support.node_config import NodeConfig
from tests.support.timing import LIMIT_S, wait_until
from zmqio.exceptions import ConfigError
from zmqio.ids import NodeTag
from zmqio.zeromq.adapter import ZmqAdapter

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOREIGN_VERSION = 9
FOREIGNER = "fakeAAAAAAAAAAA"
HEARTBEAT = 1
ATTEMPTS = 5


def tag_of(node: ClusterNode) -> str:
    return node.node_id[:4]


def prefix_of(node: ClusterNode) -> str:
    prefix: str = node.config.bus["prefix"]
    return prefix


async def last_line_of_failed_start(config: NodeConfig) -> str:
    """Start a node that fails; its last line. A holder that is slow to answer lets it start: then once more."""
    for _ in range(ATTEMPTS):
        node = ClusterNode(config)
        node.spawn()
        try:
            with pytest.raises(AssertionError, match="does not answer"):
                await node.state()
            assert await node.wait_end() != 0
            return node.log_text().strip().splitlines()[-1]
        except pytest.fail.Exception:
            continue
        finally:
            await node.close()
    raise AssertionError("it always started")


async def test_configured_tag_of_a_live_node_is_a_start_error(nodes: list[ClusterNode]) -> None:
    holder = nodes[0]
    config = NodeConfig(
        "late", adapter=holder.config.adapter, options={"node_tag": tag_of(holder)}, bus=holder.config.bus
    )
    last_line = await last_line_of_failed_start(config)
    assert last_line.startswith("zmqio.exceptions.ConfigError: ")
    for fact in (repr(tag_of(holder)), holder.node_id, f"process {holder.pid}", "node_tag", "ZMQIO_NODE_TAG"):
        assert fact in last_line
    await wait_counts(nodes, len(nodes))


async def test_random_tag_of_a_live_node_is_drawn_again(
    nodes: list[ClusterNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = nodes[0]
    assert holder.config.adapter is not None
    for _ in range(ATTEMPTS):
        draws = iter([tag_of(holder), tag_of(nodes[1]), "free"])
        monkeypatch.setattr("zmqio.server.joining.make_node_tag", lambda draws=draws: NodeTag(next(draws)))
        async with zmqio.Server(ZmqAdapter(holder.config.adapter, prefix=prefix_of(holder))) as late:
            if not late.node_id.startswith("free"):
                continue  # the holder was slow to answer
            await wait_until(lambda late=late: late.server_count() == len(nodes) + 1, "it belongs to the cluster")
            assert len(await late.server_side_emit_with_ack("who", timeout=LIMIT_S)) == len(nodes)
        break
    else:
        raise AssertionError("it always took a tag of a live node")
    await wait_counts(nodes, len(nodes))


async def test_cluster_without_a_free_random_tag_is_a_start_error(
    nodes: list[ClusterNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = nodes[0]
    monkeypatch.setattr("zmqio.server.joining.make_node_tag", lambda: NodeTag(tag_of(holder)))
    monkeypatch.setattr("zmqio.cluster.presence.TAG_ANSWER_S", LIMIT_S)  # it always ends with the holder's answer
    monkeypatch.setattr("zmqio.server.joining.TAG_CHECK_LIMIT_S", LIMIT_S)
    assert holder.config.adapter is not None
    late = zmqio.Server(ZmqAdapter(holder.config.adapter, prefix=prefix_of(holder)))
    with pytest.raises(ConfigError, match=holder.node_id):
        await late.start()
    await late.close()
    await wait_counts(nodes, len(nodes))


async def test_tag_of_a_node_that_left_can_be_reused(broker: BrokerProcess) -> None:
    bus = {"prefix": "tags-again"}
    config = NodeConfig(NAMES[0], adapter=broker.address, options={"node_tag": "mine"}, bus=bus)
    for _ in range(2):
        async with ClusterNode(config) as node:
            assert node.node_id.startswith("mine")
            await wait_counts([node], 1)


@contextmanager
def foreign_publisher(broker: BrokerProcess) -> Iterator[zmq.Socket[bytes]]:
    """A publisher at the broker for arbitrary messages."""
    with zmq.Context() as context, connected(context, zmq.XPUB, broker.endpoint("publish")) as publisher:
        assert publisher.poll(LIMIT_S * 1000), "the broker subscribes to everything"
        publisher.recv()
        yield publisher


async def test_node_of_another_wire_version_is_logged_once_and_ignored(
    harness: ClusterHarness, nodes: list[ClusterNode], broker: BrokerProcess
) -> None:
    clients = await harness.connect_each("room")
    left = [(await node.state())["left"] for node in nodes]
    prefix = prefix_of(nodes[0]).encode()
    topics = (b"/a/\0", b"/n//\0", b"/r//\0room\0", b"/u/" + nodes[1].node_id.encode() + b"\0")
    with foreign_publisher(broker) as foreigner:
        for n in range(100):
            body = msgpack.packb([FOREIGN_VERSION, HEARTBEAT, FOREIGNER, n, None, {"what": ["this", "may", n]}])
            for topic in topics:
                foreigner.send(prefix + topic + body)
            await harness.do("emit", event="news", args=[n], rooms=["room"])
        for node in nodes:
            await node.wait_state(
                "it has met the foreigner",
                lambda state: state["health_details"]["counters"]["bus"].get("version_mismatches", 0) >= 300,
            )
    for client in clients:
        assert await client.wait_for("news", 100) == [[n] for n in range(100)]
    await wait_counts(nodes, 3)
    for node, left_before in zip(nodes, left, strict=True):
        (line,) = node.log_lines("peer_version_mismatched")
        assert (line["peer"], line["version"], line["supported"]) == (FOREIGNER, FOREIGN_VERSION, 1)
        state = await node.state()
        assert state["left"] == left_before
        assert FOREIGNER not in state["joined"]
    assert sorted(await harness.do("ask_nodes", event="who", timeout=LIMIT_S)) == ["three", "two"]
    assert await harness.do("ask", event="hello", args=["well?"]) == ["well?"] * 3
