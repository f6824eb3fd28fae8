"""Finding the owner of a session, and messages between two nodes, with one real node on a bus in memory."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.node_harness import ALL, ME, PEER, NodeHarness
from tests.support.timing import LIMIT_S, wait_until
from zmqio.adapter.local import LocalAdapterFactory
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.cluster.unicast import DISCOVERY_S, NodeMessageHandler, NodeMessenger, NodeMessengerFactory, Unicast
from zmqio.config import BusOptions
from zmqio.exceptions import BusUnavailableError, MessageTooLargeError
from zmqio.ids import NodeId, NodeTag
from zmqio.protocol import messages as m
from zmqio.protocol.relay_messages import (
    HttpCancel,
    HttpRequest,
    HttpResponse,
    RelayMessage,
    StreamOpen,
)
from zmqio.protocol.topic import inbox_topic
from zmqio.relay.relay import Relay

MY_INBOX = inbox_topic("zmqio", ME)
TAG2, TAG9 = NodeTag("tag2"), NodeTag("tag9")


class RecordingHandler:
    """Records everything it is called with."""

    def __init__(self) -> None:
        self.seen: list[tuple[NodeId, RelayMessage | str]] = []

    def received(self, sender: NodeId, message: RelayMessage) -> None:
        self.seen.append((sender, message))

    def node_unreachable(self, node_id: NodeId, reason: str) -> None:
        self.seen.append((node_id, reason))


@pytest_asyncio.fixture
async def harness() -> AsyncIterator[NodeHarness]:
    harness = await NodeHarness().ready()
    yield harness
    await harness.node.close()


async def meet(harness: NodeHarness, node_id: NodeId = PEER) -> None:
    harness.peer_heartbeat(node_id)
    await wait_until(lambda: node_id in harness.node.peers, "the peer")


async def test_messages_reach_the_handler_with_their_sender(harness: NodeHarness) -> None:
    handler = RecordingHandler()
    harness.node.unicast.attach(handler)
    harness.peer_sends(HttpCancel(1, True), MY_INBOX)
    harness.peer_sends(m.FetchRooms(1, "/"), ALL)
    harness.peer_sends(HttpCancel(2, True), MY_INBOX)
    await wait_until(lambda: len(handler.seen) == 2, "both")
    assert handler.seen == [(PEER, HttpCancel(1, True)), (PEER, HttpCancel(2, True))]


async def test_messages_received_before_a_handler_is_attached_are_kept(harness: NodeHarness) -> None:
    harness.peer_sends(HttpCancel(1, True), MY_INBOX)
    harness.peer_sends(HttpCancel(2, True), MY_INBOX)
    harness.peer_sends(m.FetchRooms(3, "/"))
    await wait_until(lambda: harness.sent(m.Response), "the response to the last message")
    handler = RecordingHandler()
    harness.node.unicast.attach(handler)
    assert handler.seen == [(PEER, HttpCancel(1, True)), (PEER, HttpCancel(2, True))]


async def test_message_to_one_node_is_sequenced_and_goes_to_its_inbox(harness: NodeHarness) -> None:
    for number in range(2):
        harness.node.unicast.send_to(PEER, HttpCancel(number, True))
    sent = harness.sent(HttpCancel)
    assert [topic for topic, _ in sent] == [inbox_topic("zmqio", PEER)] * 2
    assert [(envelope.id.n, envelope.id.previous) for _, envelope in sent] == [(1, 0), (2, 1)]


async def test_message_that_cannot_be_sent_raises() -> None:
    harness = await NodeHarness(options=BusOptions(heartbeat_s=0.02, max_message_bytes=1_000)).ready()
    with pytest.raises(MessageTooLargeError):
        harness.node.unicast.send_to(PEER, HttpResponse(1, 200, (), bytes(1000)))
    await harness.node.close()
    with pytest.raises(BusUnavailableError):
        harness.node.unicast.send_to(PEER, HttpCancel(1, True))


async def test_requests_are_refused_while_no_broker_is_connected(harness: NodeHarness) -> None:
    harness.bus.link_down(0)
    await wait_until(lambda: not harness.bus.connected_links, "the loss")
    head = "sid=x", (), "", False
    for request in (HttpRequest(1, "GET", *head, b"", True), StreamOpen(2, *head, 1)):
        with pytest.raises(BusUnavailableError):
            harness.node.unicast.send_to(PEER, request)
    assert harness.node.health().details["replay"]["ring_messages"] == 0
    harness.node.unicast.send_to(PEER, HttpResponse(3, 200, (), b""))  # its packets have left their session
    assert harness.node.health().details["replay"]["ring_unsent_messages"] == 1


async def test_owner_is_the_live_node_whose_id_begins_with_the_tag(harness: NodeHarness) -> None:
    await meet(harness)
    assert await harness.node.unicast.find(TAG2) == PEER
    harness.peer_sends(m.Goodbye("bye"), previous=None)
    await wait_until(lambda: PEER not in harness.node.peers, "the goodbye")


async def test_owner_of_a_shared_tag_is_the_node_that_joined_last(harness: NodeHarness) -> None:
    await meet(harness)
    successor = NodeId("tag2DDDDDDDDDDD")
    await meet(harness, successor)
    assert await harness.node.unicast.find(TAG2) == successor


async def test_handler_learns_of_nodes_that_left(harness: NodeHarness) -> None:
    handler = RecordingHandler()
    harness.node.unicast.attach(handler)
    await meet(harness)
    harness.peer_sends(m.Goodbye("bye"), previous=None)
    await wait_until(lambda: handler.seen, "the goodbye")
    assert handler.seen == [(PEER, "goodbye")]
    assert harness.events.seen == [("joined", PEER), ("left", PEER, "goodbye")]
    silent = NodeId("tag9DDDDDDDDDDD")
    await meet(harness, silent)
    await wait_until(lambda: len(handler.seen) == 2, "its death")
    assert handler.seen[1] == (silent, "silent")


async def test_leaving_the_bus_makes_every_node_unreachable(harness: NodeHarness) -> None:
    handler = RecordingHandler()
    harness.node.unicast.attach(handler)
    await meet(harness)
    await harness.node.close()
    assert handler.seen == [(PEER, "this node has left the bus")]
    assert await harness.node.unicast.find(TAG2) is None


class NoOutbox:
    """Sends nothing."""

    def send_to(self, node_id: NodeId, message: RelayMessage) -> None:
        raise AssertionError(f"nothing is sent to {node_id}")


class Setup:
    """A `Unicast` whose clock the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.unicast = Unicast(NoOutbox(), lambda: self.now)  # type: ignore[arg-type]

    def join(self, node_id: NodeId) -> None:
        self.unicast.node_joined(node_id)


async def test_node_that_has_just_started_waits_for_the_owner_to_join() -> None:
    setup = Setup()
    setup.unicast.echo()
    search = asyncio.create_task(setup.unicast.find(TAG2))
    await asyncio.sleep(0)
    setup.join(NodeId("tag9DDDDDDDDDDD"))
    await asyncio.sleep(0)
    assert not search.done()
    setup.join(PEER)
    assert await asyncio.wait_for(search, LIMIT_S) == PEER


async def test_node_that_has_no_echo_yet_waits_for_the_owner_to_join() -> None:
    setup = Setup()
    setup.now += 100 * DISCOVERY_S
    search = asyncio.create_task(setup.unicast.find(TAG2))
    await asyncio.sleep(0)
    assert not search.done()
    setup.join(PEER)
    assert await asyncio.wait_for(search, LIMIT_S) == PEER


async def test_wait_for_an_owner_is_limited() -> None:
    setup = Setup()
    setup.unicast.echo()
    search = asyncio.create_task(setup.unicast.find(TAG2))
    await asyncio.sleep(0)
    setup.now += DISCOVERY_S
    setup.join(NodeId("tag9DDDDDDDDDDD"))
    assert await asyncio.wait_for(search, LIMIT_S) is None


async def test_wait_for_the_first_echo_may_be_longer() -> None:
    setup = Setup()
    search = asyncio.create_task(setup.unicast.find(TAG2, 5 * DISCOVERY_S))
    await asyncio.sleep(0)
    setup.now += 2 * DISCOVERY_S
    setup.join(NodeId("tag9DDDDDDDDDDD"))
    await asyncio.sleep(0.01)
    assert not search.done()
    setup.unicast.echo()
    setup.join(PEER)
    assert await asyncio.wait_for(search, LIMIT_S) == PEER


async def test_node_that_has_just_started_has_a_second_to_meet_the_others() -> None:
    setup = Setup()
    setup.unicast.echo()
    waiting = asyncio.create_task(setup.unicast.discovered())
    await asyncio.sleep(0)
    setup.join(PEER)
    await asyncio.sleep(0)
    assert not waiting.done()
    setup.now += DISCOVERY_S
    setup.join(NodeId("tag9DDDDDDDDDDD"))
    await asyncio.wait_for(waiting, LIMIT_S)
    with pytest.raises(StopIteration):
        setup.unicast.discovered().send(None)


async def test_node_that_knows_the_others_does_not_wait_for_an_owner() -> None:
    setup = Setup()
    setup.unicast.echo()
    setup.now += DISCOVERY_S
    search = setup.unicast.find(TAG2)
    with pytest.raises(StopIteration) as end:
        search.send(None)
    assert end.value.value is None


def _members(contract: type) -> set[str]:
    return {name for name in vars(contract) if not name.startswith("_")}


def test_unicast_implements_node_messenger() -> None:
    assert _members(NodeMessenger) == {"attach", "find", "send_to"}
    assert all(hasattr(Unicast, name) for name in _members(NodeMessenger))


def test_relay_implements_node_message_handler() -> None:
    assert _members(NodeMessageHandler) == {"received", "node_unreachable"}
    assert all(hasattr(Relay, name) for name in _members(NodeMessageHandler))


def test_only_the_cluster_factory_has_a_messenger() -> None:
    def make_bus(_identity: object) -> object:
        raise AssertionError("not started")

    assert isinstance(ClusterAdapterFactory(make_bus, BusOptions()), NodeMessengerFactory)  # type: ignore[arg-type]
    assert not isinstance(LocalAdapterFactory(), NodeMessengerFactory)
