"""Who owns a session, and what two nodes say to each other, over one real node on a bus in memory."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.node_stage import ALL, ME, PEER, NodeStage
from tests.support.timing import LIMIT_S, wait_until
from zmqio.adapter.local import LocalAdapterFactory
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.cluster.unicast import DISCOVERY_S, NodeMessageHandler, NodeMessenger, NodeMessengerFactory, Unicast
from zmqio.config import BusOptions
from zmqio.exceptions import BusUnavailableError, MessageTooLargeError
from zmqio.ids import NodeId, NodeTag
from zmqio.protocol import messages as m
from zmqio.protocol.relay_messages import HttpCancel, HttpResponse, RelayMessage
from zmqio.protocol.topic import inbox_topic
from zmqio.relay.relay import Relay

MY_INBOX = inbox_topic("zmqio", ME)
TAG2, TAG9 = NodeTag("tag2"), NodeTag("tag9")


class Carrier:
    """Keeps what reaches it."""

    def __init__(self) -> None:
        self.seen: list[tuple[NodeId, RelayMessage | str]] = []

    def received(self, sender: NodeId, message: RelayMessage) -> None:
        self.seen.append((sender, message))

    def node_unreachable(self, node_id: NodeId, reason: str) -> None:
        self.seen.append((node_id, reason))


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[NodeStage]:
    stage = await NodeStage().ready()
    yield stage
    await stage.node.close()


async def meet(stage: NodeStage, node_id: NodeId = PEER) -> None:
    stage.beat(node_id)
    await wait_until(lambda: node_id in stage.node.peers, "the peer")


async def test_messages_reach_the_carrier_with_their_sender(stage: NodeStage) -> None:
    carrier = Carrier()
    stage.node.unicast.attach(carrier)
    stage.say(HttpCancel(1), MY_INBOX)
    stage.say(m.FetchRooms(1, "/"), ALL)
    stage.say(HttpCancel(2), MY_INBOX)
    await wait_until(lambda: len(carrier.seen) == 2, "both")
    assert carrier.seen == [(PEER, HttpCancel(1)), (PEER, HttpCancel(2))]


async def test_what_comes_before_there_is_a_carrier_is_kept_for_it(stage: NodeStage) -> None:
    stage.say(HttpCancel(1), MY_INBOX)
    stage.say(HttpCancel(2), MY_INBOX)
    stage.say(m.FetchRooms(3, "/"))
    await wait_until(lambda: stage.sent(m.Response), "what came behind them")
    carrier = Carrier()
    stage.node.unicast.attach(carrier)
    assert carrier.seen == [(PEER, HttpCancel(1)), (PEER, HttpCancel(2))]


async def test_saying_goes_stamped_to_the_inbox_of_the_one_node(stage: NodeStage) -> None:
    for number in range(2):
        stage.node.unicast.send_to(PEER, HttpCancel(number))
    sent = stage.sent(HttpCancel)
    assert [topic for topic, _ in sent] == [inbox_topic("zmqio", PEER)] * 2
    assert [(envelope.id.n, envelope.id.previous) for _, envelope in sent] == [(1, 0), (2, 1)]


async def test_saying_what_cannot_leave_is_an_error() -> None:
    stage = await NodeStage(options=BusOptions(heartbeat_s=0.02, max_message_bytes=1_000)).ready()
    with pytest.raises(MessageTooLargeError):
        stage.node.unicast.send_to(PEER, HttpResponse(1, 200, (), bytes(1000)))
    await stage.node.close()
    with pytest.raises(BusUnavailableError):
        stage.node.unicast.send_to(PEER, HttpCancel(1))


async def test_owner_is_the_live_node_whose_id_begins_with_the_tag(stage: NodeStage) -> None:
    await meet(stage)
    assert await stage.node.unicast.find(TAG2) == PEER
    stage.say(m.Goodbye("bye"), previous=None)
    await wait_until(lambda: PEER not in stage.node.peers, "the goodbye")


async def test_of_two_with_the_same_tag_it_is_the_later_one(stage: NodeStage) -> None:
    await meet(stage)
    successor = NodeId("tag2DDDDDDDDDDD")
    await meet(stage, successor)
    assert await stage.node.unicast.find(TAG2) == successor


async def test_carrier_is_told_of_nodes_that_are_gone_before_anybody_else(stage: NodeStage) -> None:
    carrier = Carrier()
    stage.node.unicast.attach(carrier)
    await meet(stage)
    stage.say(m.Goodbye("bye"), previous=None)
    await wait_until(lambda: carrier.seen, "the goodbye")
    assert carrier.seen == [(PEER, "goodbye")]
    assert stage.events.seen == [("joined", PEER), ("left", PEER, "goodbye")]
    silent = NodeId("tag9DDDDDDDDDDD")
    await meet(stage, silent)
    await wait_until(lambda: len(carrier.seen) == 2, "its silence")
    assert carrier.seen[1] == (silent, "silent")


async def test_node_that_leaves_the_bus_has_nobody_any_more(stage: NodeStage) -> None:
    carrier = Carrier()
    stage.node.unicast.attach(carrier)
    await meet(stage)
    await stage.node.close()
    assert carrier.seen == [(PEER, "this node has left the bus")]
    assert await stage.node.unicast.find(TAG2) is None


class NoOutbox:
    """Sends nothing."""

    def send_to(self, node_id: NodeId, message: RelayMessage) -> None:
        raise AssertionError(f"nothing is sent to {node_id}")


class Alone:
    """A `Unicast` whose clock the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.unicast = Unicast(NoOutbox(), lambda: self.now)  # type: ignore[arg-type]

    def join(self, node_id: NodeId) -> None:
        self.unicast.node_joined(node_id)


async def test_young_node_waits_for_the_owner_to_show_itself() -> None:
    alone = Alone()
    alone.unicast.echo()
    search = asyncio.create_task(alone.unicast.find(TAG2))
    await asyncio.sleep(0)
    alone.join(NodeId("tag9DDDDDDDDDDD"))
    await asyncio.sleep(0)
    assert not search.done()
    alone.join(PEER)
    assert await asyncio.wait_for(search, LIMIT_S) == PEER


async def test_node_without_a_broker_yet_is_young() -> None:
    alone = Alone()
    alone.now += 100 * DISCOVERY_S
    search = asyncio.create_task(alone.unicast.find(TAG2))
    await asyncio.sleep(0)
    assert not search.done()
    alone.join(PEER)
    assert await asyncio.wait_for(search, LIMIT_S) == PEER


async def test_young_node_does_not_wait_for_ever() -> None:
    alone = Alone()
    alone.unicast.echo()
    search = asyncio.create_task(alone.unicast.find(TAG2))
    await asyncio.sleep(0)
    alone.now += DISCOVERY_S
    alone.join(NodeId("tag9DDDDDDDDDDD"))
    assert await asyncio.wait_for(search, LIMIT_S) is None


async def test_node_that_knows_the_others_does_not_wait() -> None:
    alone = Alone()
    alone.unicast.echo()
    alone.now += DISCOVERY_S
    search = alone.unicast.find(TAG2)
    with pytest.raises(StopIteration) as end:
        search.send(None)
    assert end.value.value is None


def _members(contract: type) -> set[str]:
    return {name for name in vars(contract) if not name.startswith("_")}


def test_node_offers_its_peers() -> None:
    assert _members(NodeMessenger) == {"attach", "find", "send_to"}
    assert all(hasattr(Unicast, name) for name in _members(NodeMessenger))


def test_relay_hears_them() -> None:
    assert _members(NodeMessageHandler) == {"received", "node_unreachable"}
    assert all(hasattr(Relay, name) for name in _members(NodeMessageHandler))


def test_only_the_cluster_has_peers() -> None:
    def make_bus(_identity: object) -> object:
        raise AssertionError("not started")

    assert isinstance(ClusterAdapterFactory(make_bus, BusOptions()), NodeMessengerFactory)  # type: ignore[arg-type]
    assert not isinstance(LocalAdapterFactory(), NodeMessengerFactory)
