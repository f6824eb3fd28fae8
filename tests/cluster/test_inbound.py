"""How a node handles each message that it receives. The test plays the peer."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.fake_sockets import ackable
from tests.support.node_stage import ALL, ME, PEER, NodeStage
from tests.support.timing import LIMIT_S, wait_until
from zmqio.cluster.inbound import NO_VALUES, GoodbyeEchoes
from zmqio.ids import NodeId
from zmqio.protocol import messages as m
from zmqio.protocol.messages import Message
from zmqio.protocol.publish import PublishRequest
from zmqio.protocol.topic import inbox_topic


class RecordingReceiver:
    """Records the messages of one namespace; LeaveRooms triggers a bug."""

    def __init__(self) -> None:
        self.received: list[tuple[Message, NodeId]] = []
        self.applied: list[PublishRequest] = []

    def receive(self, message: Message, sender: NodeId) -> None:
        if type(message) is m.LeaveRooms:
            raise RuntimeError("a bug in an adapter")
        self.received.append((message, sender))

    def apply(self, request: PublishRequest) -> None:
        self.applied.append(request)


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[NodeStage]:
    stage = await NodeStage().ready()
    yield stage
    await stage.node.close()


async def test_own_messages_that_come_back_are_dropped(stage: NodeStage) -> None:
    receiver = RecordingReceiver()
    stage.node.inbound.attach("/", receiver)
    stage.node.outbox.publish(ALL, m.JoinRooms("/", (), (), ("x",)))
    stage.peer_sends(m.JoinRooms("/", (), (), ("y",)))
    await wait_until(lambda: receiver.received, "the message of the peer")
    assert receiver.received == [(m.JoinRooms("/", (), (), ("y",)), PEER)]


async def test_message_through_two_brokers_is_received_once() -> None:
    stage = await NodeStage(links=2).ready()
    receiver = RecordingReceiver()
    stage.node.inbound.attach("/", receiver)
    stage.peer_heartbeat()
    await wait_until(lambda: PEER in stage.node.peers, "the peer")
    for number in range(5):
        stage.peer_sends(m.FetchRooms(number, "/"))
    await wait_until(lambda: len(receiver.received) == 5, "all messages")
    counters = stage.node.health
    await wait_until(lambda: counters().details["counters"]["bus"]["duplicate_messages"] == 5, "their duplicates")
    numbers = [message.request_id for message, _ in receiver.received]  # type: ignore[union-attr]
    assert numbers == [0, 1, 2, 3, 4]
    await stage.node.close()


async def test_requests_for_a_namespace_that_is_not_served_get_empty_responses(stage: NodeStage) -> None:
    stage.peer_sends(m.FetchSockets(1, "/none", (), ()))
    stage.peer_sends(m.FetchRooms(2, "/none"))
    stage.peer_sends(m.ServerSideEmit("/none", NO_VALUES, 3))
    stage.peer_sends(m.ServerSideEmit("/none", NO_VALUES, None))
    stage.peer_sends(m.BroadcastMessage("/none", (), (), False, ("2[]",)))
    stage.peer_sends(m.AckedBroadcast(4, "/none", (), (), 1.0, ackable("x")))
    await wait_until(lambda: stage.sent(m.AckCount), "the responses")
    inbox = inbox_topic("zmqio", PEER)
    assert [(topic, envelope.message) for topic, envelope in stage.sent(m.Response)] == [
        (inbox, m.Response(number, NO_VALUES, True)) for number in (1, 2, 3)
    ]
    assert [(topic, envelope.message) for topic, envelope in stage.sent(m.AckCount)] == [(inbox, m.AckCount(4, 0))]


async def test_detached_namespace_is_no_longer_served(stage: NodeStage) -> None:
    receiver = RecordingReceiver()
    stage.node.inbound.attach("/", receiver)
    stage.node.inbound.detach("/")
    stage.peer_sends(m.FetchRooms(1, "/"))
    await wait_until(lambda: stage.sent(m.Response), "the empty response")
    assert receiver.received == []


async def test_publish_request_reaches_only_its_namespace(stage: NodeStage) -> None:
    here, there = RecordingReceiver(), RecordingReceiver()
    stage.node.inbound.attach("/", here)
    stage.node.inbound.attach("/other", there)
    stage.network.inject(ALL, b'{"event": "x", "namespace": "/other"}')
    stage.network.inject(ALL, b'{"event": "x", "namespace": "/not-served"}')
    await wait_until(lambda: there.applied, "the request")
    assert here.applied == []


async def test_failing_and_malformed_messages_do_not_stop_the_node(stage: NodeStage) -> None:
    receiver = RecordingReceiver()
    stage.node.inbound.attach("/", receiver)
    stage.peer_sends(m.LeaveRooms("/", (), (), ("the receiver raises",)))
    stage.peer_sends(m.Response(1, b"\xc1", last=True), inbox_topic("zmqio", ME))
    stage.network.inject(ALL, b"\xc1")
    stage.peer_sends(m.FetchRooms(1, "/"))
    await wait_until(lambda: receiver.received, "the message behind them")
    assert stage.node.diagnostics.counters["bus_message_failed"] == 2
    assert stage.node.diagnostics.counters["bus_message_malformed"] == 1


async def test_closed_node_drops_messages_and_notices_its_goodbye(stage: NodeStage) -> None:
    receiver = RecordingReceiver()
    stage.node.inbound.attach("/", receiver)
    await stage.node.close()
    (_, body) = stage.network.log[-1]
    stage.node.inbound.message_received(7, ALL, body)
    stage.peer_sends(m.FetchRooms(1, "/"))
    await asyncio.sleep(0)
    assert stage.node.inbound.goodbye_echoes.links == {0, 7}
    assert receiver.received == []


async def test_waiter_for_goodbye_echoes_wakes_for_each_echo_and_lost_link() -> None:
    echoes = GoodbyeEchoes()
    for event in (lambda: echoes.add(1), echoes.link_lost):
        waiter = asyncio.ensure_future(echoes.changed())
        await asyncio.sleep(0)
        assert not waiter.done()
        event()
        await asyncio.wait_for(waiter, LIMIT_S)
    assert echoes.links == {1}
