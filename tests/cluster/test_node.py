"""A node among others that the test plays: exact messages in and out."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from tests.support.fake_sockets import ackable
from tests.support.node_stage import ALL, ME, PEER, NodeStage
from tests.support.timing import wait_until
from zmqio.cluster import node as node_module
from zmqio.cluster.node import NOTHING
from zmqio.config import BusOptions
from zmqio.exceptions import BusUnavailableError, MessageTooLargeError
from zmqio.ids import NodeId
from zmqio.protocol import messages as m
from zmqio.protocol.envelope import decode
from zmqio.protocol.messages import Message
from zmqio.protocol.publish import PublishRequest
from zmqio.protocol.topic import inbox_topic


class Branch:
    """Keeps what reaches it; a request to leave rooms runs into a bug."""

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
    branch = Branch()
    stage.node.attach("/", branch)
    stage.node.publish(ALL, m.JoinRooms("/", (), (), ("x",)))
    stage.say(m.JoinRooms("/", (), (), ("y",)))
    await wait_until(lambda: branch.received, "the message of the peer")
    assert branch.received == [(m.JoinRooms("/", (), (), ("y",)), PEER)]


async def test_message_through_two_brokers_is_received_once() -> None:
    stage = await NodeStage(links=2).ready()
    branch = Branch()
    stage.node.attach("/", branch)
    stage.beat()
    await wait_until(lambda: PEER in stage.node.peers, "the peer")
    for number in range(5):
        stage.say(m.FetchRooms(number, "/"))
    await wait_until(lambda: len(branch.received) == 5, "all of them")
    await wait_until(lambda: stage.node.health().details["counters"]["bus_copies"] == 5, "their copies")
    assert [message.request_id for message, _ in branch.received] == [0, 1, 2, 3, 4]  # type: ignore[union-attr]
    await stage.node.close()


async def test_node_without_the_namespace_answers_empty(stage: NodeStage) -> None:
    stage.say(m.FetchSockets(1, "/none", (), ()))
    stage.say(m.FetchRooms(2, "/none"))
    stage.say(m.ServerSideEmit("/none", NOTHING, 3))
    stage.say(m.ServerSideEmit("/none", NOTHING, None))
    stage.say(m.BroadcastMessage("/none", (), (), False, ("2[]",)))
    stage.say(m.AckedBroadcast(4, "/none", (), (), 1.0, ackable("x")))
    await wait_until(lambda: stage.sent(m.AckCount), "the answers")
    inbox = inbox_topic("zmqio", PEER)
    assert [(topic, envelope.message) for topic, envelope in stage.sent(m.Response)] == [
        (inbox, m.Response(number, NOTHING, True)) for number in (1, 2, 3)
    ]
    assert [(topic, envelope.message) for topic, envelope in stage.sent(m.AckCount)] == [(inbox, m.AckCount(4, 0))]


async def test_answers_are_stamped_on_the_topic_of_the_inbox(stage: NodeStage) -> None:
    for number in range(3):
        stage.node.answer(PEER, m.AckCount(number, 0))
    message_ids = [envelope.id for _, envelope in stage.sent(m.AckCount)]
    assert [(message_id.n, message_id.previous) for message_id in message_ids] == [(1, 0), (2, 1), (3, 2)]


async def test_outside_request_reaches_its_namespace_only(stage: NodeStage) -> None:
    here, there = Branch(), Branch()
    stage.node.attach("/", here)
    stage.node.attach("/other", there)
    stage.network.inject(ALL, b'{"event": "x", "namespace": "/other"}')
    stage.network.inject(ALL, b'{"event": "x", "namespace": "/nobody"}')
    await wait_until(lambda: there.applied, "the request")
    assert here.applied == []


async def test_whatever_comes_the_node_goes_on(stage: NodeStage) -> None:
    branch = Branch()
    stage.node.attach("/", branch)
    stage.say(m.LeaveRooms("/", (), (), ("the branch raises",)))
    stage.say(m.Response(1, b"\xc1", last=True), inbox_topic("zmqio", ME))
    stage.network.inject(ALL, b"\xc1")
    stage.say(m.FetchRooms(1, "/"))
    await wait_until(lambda: branch.received, "the message behind the trouble")
    assert stage.node.incidents.counters["bus_message_failed"] == 2
    assert stage.node.incidents.counters["bus_rubbish"] == 1


async def test_message_that_is_too_large_leaves_no_gap() -> None:
    stage = await NodeStage(options=BusOptions(heartbeat_s=0.02, max_message_bytes=1_000)).ready()
    stage.node.publish(ALL, m.FetchRooms(1, "/"))
    with pytest.raises(MessageTooLargeError):
        stage.node.publish(ALL, m.JoinRooms("/", (), (), ("x" * 1000,)))
    stage.node.publish(ALL, m.FetchRooms(2, "/"))
    message_ids = [envelope.id for _, envelope in stage.sent(m.FetchRooms)]
    assert [(message_id.n, message_id.previous) for message_id in message_ids] == [(1, 0), (2, 1)]
    assert stage.node.incidents.counters["publish_failed"] == 1
    await stage.node.close()


async def test_answer_that_cannot_be_sent_is_counted_and_not_raised(stage: NodeStage) -> None:
    await stage.node.close()
    stage.node.answer(PEER, m.AckCount(1, 0))
    assert stage.node.incidents.counters["answers_lost"] == 1


async def test_close_says_goodbye_and_ends_the_tasks() -> None:
    stage = await NodeStage().ready()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    stage.node.spawn(work())
    await asyncio.sleep(0)
    await stage.node.close()
    assert [envelope.message for _, envelope in stage.sent(m.Goodbye)] == [m.Goodbye("goodbye")]
    assert ended.is_set()
    assert stage.bus.closed
    assert stage.node.health().reasons == ("the node has stopped",)
    with pytest.raises(BusUnavailableError):
        stage.node.publish(ALL, m.FetchRooms(1, "/"))


async def test_failed_task_is_counted_and_logged(stage: NodeStage) -> None:
    async def work() -> None:
        raise RuntimeError("broken")

    with capture_logs() as lines:
        stage.node.spawn(work())
        await wait_until(lambda: stage.node.incidents.counters["tasks_failed"], "the count")
    assert [line["event"] for line in lines] == ["node_task_failed"]


async def test_abandon_says_goodbye_without_a_loop() -> None:
    stage = await NodeStage().ready()
    await asyncio.to_thread(_in_no_loop, stage)
    assert [envelope.message for _, envelope in stage.sent(m.Goodbye)] == [m.Goodbye("exit")]
    assert stage.bus.closed
    await stage.node.close()


def _in_no_loop(stage: NodeStage) -> None:
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    stage.network.faults.drop = lambda topic, body: True  # nobody listens; what counts is that it was said
    stage.node.close_sync()


async def test_goodbye_is_the_last_word_and_its_return_is_awaited() -> None:
    stage = await NodeStage(links=2).ready()
    stage.node.publish(ALL, m.JoinRooms("/", (), (), ("x",)))
    await stage.node.close()
    sent = [type(decode(body).message) for _, body in stage.network.log]
    assert sent[-2:] == [m.JoinRooms, m.Goodbye]


async def test_close_does_not_wait_for_a_broker_that_is_lost_meanwhile() -> None:
    stage = await NodeStage(links=2).ready()
    stage.network.stall(1)
    closing = asyncio.ensure_future(stage.node.close())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not closing.done()
    stage.network.cut(1)
    await wait_until(closing.done, "the end")


async def test_broker_that_brings_nothing_back_is_not_awaited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "FLUSH_LIMIT_S", 0.02)
    stage = await NodeStage(links=2).ready()
    stage.network.stall(1)
    with capture_logs() as logs:
        await stage.node.close()
    assert [line["brokers"] for line in logs if line["event"] == "bus_not_flushed"] == [[1]]
