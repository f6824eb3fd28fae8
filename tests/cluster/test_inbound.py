"""A node handles each message that it receives. The test simulates the peer."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.support.fake_sockets import FakeSockets, ackable
from tests.support.node_harness import ALL, ME, PEER, NodeHarness
from tests.support.timing import LIMIT_S, wait_until
from zmqio.cluster.adapter import ClusterAdapter
from zmqio.cluster.inbound import NO_VALUES, GoodbyeEchoes
from zmqio.ids import NodeId
from zmqio.protocol import messages as m
from zmqio.protocol.envelope import encode
from zmqio.protocol.messages import Envelope, Message, MessageId
from zmqio.protocol.publish import PublishRequest
from zmqio.protocol.topic import inbox_topic
from zmqio.protocol.values import pack_values


class RecordingReceiver:
    """Records the messages of one namespace; LeaveRooms triggers a bug."""

    def __init__(self) -> None:
        self.received: list[tuple[Message, NodeId]] = []
        self.applied: list[PublishRequest] = []

    def receive(self, message: Message, sender: NodeId, number: int) -> None:
        if type(message) is m.LeaveRooms:
            raise RuntimeError("a bug in an adapter")
        self.received.append((message, sender))

    def apply(self, request: PublishRequest) -> None:
        self.applied.append(request)


@pytest_asyncio.fixture
async def harness() -> AsyncIterator[NodeHarness]:
    harness = await NodeHarness().ready()
    yield harness
    await harness.node.close()


async def test_own_messages_that_come_back_are_dropped(harness: NodeHarness) -> None:
    receiver = RecordingReceiver()
    harness.node.inbound.attach("/", receiver)
    harness.node.outbox.publish(ALL, m.JoinRooms("/", (), (), ("x",)))
    harness.peer_sends(m.JoinRooms("/", (), (), ("y",)))
    await wait_until(lambda: receiver.received, "the message of the peer")
    assert receiver.received == [(m.JoinRooms("/", (), (), ("y",)), PEER)]


async def test_message_through_two_brokers_is_received_once() -> None:
    harness = await NodeHarness(links=2).ready()
    receiver = RecordingReceiver()
    harness.node.inbound.attach("/", receiver)
    harness.peer_heartbeat()
    await wait_until(lambda: PEER in harness.node.peers, "the peer")
    for number in range(5):
        harness.peer_sends(m.FetchRooms(number, "/"))
    await wait_until(lambda: len(receiver.received) == 5, "all messages")
    counters = harness.node.health
    await wait_until(lambda: counters().details["counters"]["bus"]["duplicate_messages"] == 5, "their duplicates")
    numbers = [message.request_id for message, _ in receiver.received]  # type: ignore[union-attr]
    assert numbers == [0, 1, 2, 3, 4]
    await harness.node.close()


async def test_requests_for_a_namespace_that_is_not_served_get_empty_responses(harness: NodeHarness) -> None:
    harness.peer_sends(m.FetchSockets(1, "/none", (), ()))
    harness.peer_sends(m.FetchRooms(2, "/none"))
    harness.peer_sends(m.ServerSideEmit("/none", NO_VALUES, 3))
    harness.peer_sends(m.ServerSideEmit("/none", NO_VALUES, None))
    harness.peer_sends(m.BroadcastMessage("/none", (), (), False, ("2[]",)))
    harness.peer_sends(m.AckedBroadcast(4, "/none", (), (), 1.0, ackable("x")))
    await wait_until(lambda: harness.sent(m.AckCount), "the responses")
    inbox = inbox_topic("zmqio", PEER)
    assert [(topic, envelope.message) for topic, envelope in harness.sent(m.Response)] == [
        (inbox, m.Response(number, NO_VALUES, True)) for number in (1, 2, 3)
    ]
    assert [(topic, envelope.message) for topic, envelope in harness.sent(m.AckCount)] == [
        (inbox, m.AckCount(4, 0))
    ]


async def test_detached_namespace_is_no_longer_served(harness: NodeHarness) -> None:
    receiver = RecordingReceiver()
    harness.node.inbound.attach("/", receiver)
    harness.node.inbound.detach("/")
    harness.peer_sends(m.FetchRooms(1, "/"))
    await wait_until(lambda: harness.sent(m.Response), "the empty response")
    assert receiver.received == []


async def test_publish_request_reaches_only_its_namespace(harness: NodeHarness) -> None:
    here, there = RecordingReceiver(), RecordingReceiver()
    harness.node.inbound.attach("/", here)
    harness.node.inbound.attach("/other", there)
    harness.network.inject(ALL, b'{"event": "x", "namespace": "/other"}')
    harness.network.inject(ALL, b'{"event": "x", "namespace": "/not-served"}')
    await wait_until(lambda: there.applied, "the request")
    assert here.applied == []


async def test_failing_and_malformed_messages_do_not_stop_the_node(harness: NodeHarness) -> None:
    receiver = RecordingReceiver()
    harness.node.inbound.attach("/", receiver)
    harness.peer_sends(m.LeaveRooms("/", (), (), ("the receiver raises",)))
    harness.peer_sends(m.Response(1, b"\xc1", last=True), inbox_topic("zmqio", ME))
    harness.network.inject(ALL, b"\xc1")
    harness.peer_sends(m.FetchRooms(1, "/"))
    await wait_until(lambda: receiver.received, "the message behind them")
    assert harness.node.diagnostics.counters["bus_message_failed"] == 1
    assert harness.node.diagnostics.counters["bus_message_malformed"] == 2


async def test_closed_node_drops_messages_and_notices_its_goodbye(harness: NodeHarness) -> None:
    receiver = RecordingReceiver()
    harness.node.inbound.attach("/", receiver)
    await harness.node.close()
    (_, body) = harness.network.log[-1]
    harness.node.inbound.message_received(7, ALL, body)
    harness.peer_sends(m.FetchRooms(1, "/"))
    await asyncio.sleep(0)
    assert harness.node.inbound.goodbye_echoes.links == {0, 7}
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


HEARTBEAT = m.Heartbeat(False, 1.0, False, "far", 1, 1)


def forged(message: Message, sender: NodeId = PEER, previous: int | None = 0) -> bytes:
    return encode(Envelope(MessageId(sender, 1, previous), message))


async def test_node_never_counts_itself_as_a_peer_however_a_message_with_its_id_is_packed(
    harness: NodeHarness,
) -> None:
    own = forged(HEARTBEAT, ME, None)
    array16 = b"\xdc\x00" + bytes((own[0] & 0x0F,)) + own[1:]
    text8 = own[:3] + b"\xd9" + bytes((len(ME),)) + own[4:]
    for body in (array16, text8):
        harness.network.inject(ALL, body)
    await wait_until(lambda: harness.node.diagnostics.counters["bus_message_malformed"] == 2, "both refused")
    assert list(harness.node.peers) == []


@pytest.mark.parametrize(
    "message",
    [
        m.Goodbye("x"),
        HEARTBEAT,
        m.ReplayRequest(1, 0, 1.0, b"\xff"),
        m.ReplayAnswer(1, 0, True, 0, (), ()),
        m.AckResponse(1, pack_values({})),
        m.Response(1, b"\xdd\xff\xff\xff\xff", True),
        m.ServerSideEmit("/", pack_values(7), None),
    ],
    ids=lambda message: type(message).__name__,
)
async def test_forged_message_is_counted_as_malformed_and_has_no_effect(
    harness: NodeHarness, message: Message
) -> None:
    sockets = FakeSockets()
    await ClusterAdapter("/", sockets, lambda: harness.node).open()
    harness.peer_heartbeat()
    await wait_until(lambda: PEER in harness.node.peers, "the peer")
    harness.network.inject(ALL, forged(message))
    counters = harness.node.diagnostics.counters
    await wait_until(lambda: counters["bus_message_malformed"] == 1, "the refusal")
    assert counters["bus_message_failed"] == 0
    assert PEER in harness.node.peers


async def test_replay_answer_can_not_carry_messages_that_are_never_replayed(harness: NodeHarness) -> None:
    harness.peer_heartbeat()
    harness.network.inject(ALL, encode(Envelope(MessageId(PEER, 2), replace(HEARTBEAT, generation=2))))
    await wait_until(lambda: harness.sent(m.ReplayRequest), "the request")
    request = harness.sent(m.ReplayRequest)[-1][1].message
    assert isinstance(request, m.ReplayRequest)
    row = m.ReplayedRow(ALL, encode(Envelope(MessageId(PEER, 2), HEARTBEAT)), 0.0)
    answer = m.ReplayAnswer(request.request_id, 2, True, 0, (), (row,))
    harness.peer_sends(answer, inbox_topic("zmqio", ME), previous=None)
    counters = harness.node.diagnostics.counters
    await wait_until(lambda: counters["bus_message_malformed"] == 1, "the refusal")
    assert counters["bus_message_failed"] == 0
