"""A node starts, publishes, reports its health and leaves. The test simulates its peers."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from tests.support.node_stage import ALL, PEER, NodeStage
from tests.support.timing import wait_until
from zmqio.cluster import node as node_module
from zmqio.config import BusOptions
from zmqio.exceptions import BusUnavailableError, MessageTooLargeError
from zmqio.protocol import messages as m
from zmqio.protocol.envelope import decode


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[NodeStage]:
    stage = await NodeStage().ready()
    yield stage
    await stage.node.close()


async def test_responses_are_sequenced_on_the_topic_of_the_inbox(stage: NodeStage) -> None:
    for number in range(3):
        stage.node.outbox.respond(PEER, m.AckCount(number, 0))
    ids = [envelope.id for _, envelope in stage.sent(m.AckCount)]
    assert [(message_id.n, message_id.previous) for message_id in ids] == [(1, 0), (2, 1), (3, 2)]


async def test_message_over_the_limit_leaves_no_gap() -> None:
    stage = await NodeStage(options=BusOptions(heartbeat_s=0.02, max_message_bytes=1_000)).ready()
    stage.node.outbox.publish(ALL, m.FetchRooms(1, "/"))
    with pytest.raises(MessageTooLargeError):
        stage.node.outbox.publish(ALL, m.JoinRooms("/", (), (), ("x" * 1000,)))
    stage.node.outbox.publish(ALL, m.FetchRooms(2, "/"))
    ids = [envelope.id for _, envelope in stage.sent(m.FetchRooms)]
    assert [(message_id.n, message_id.previous) for message_id in ids] == [(1, 0), (2, 1)]
    assert stage.node.diagnostics.counters["publish_failed"] == 1
    await stage.node.close()


async def test_response_that_cannot_be_sent_is_counted_and_not_raised(stage: NodeStage) -> None:
    await stage.node.close()
    stage.node.outbox.respond(PEER, m.AckCount(1, 0))
    assert stage.node.diagnostics.counters["responses_unsent"] == 1


async def test_close_says_goodbye_and_cancels_the_tasks() -> None:
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
        stage.node.outbox.publish(ALL, m.FetchRooms(1, "/"))


async def test_failed_task_is_counted_and_logged(stage: NodeStage) -> None:
    async def work() -> None:
        raise RuntimeError("broken")

    with capture_logs() as lines:
        stage.node.spawn(work())
        await wait_until(lambda: stage.node.diagnostics.counters["tasks_failed"], "the count")
    assert [line["event"] for line in lines] == ["node_task_failed"]


async def test_close_sync_says_goodbye_without_an_event_loop() -> None:
    stage = await NodeStage().ready()
    await asyncio.to_thread(_close_without_loop, stage)
    assert [envelope.message for _, envelope in stage.sent(m.Goodbye)] == [m.Goodbye("exit")]
    assert stage.bus.closed
    await stage.node.close()


def _close_without_loop(stage: NodeStage) -> None:
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    stage.network.faults.drop = lambda topic, body: True  # delivery needs a loop; only the publish is checked
    stage.node.close_sync()


async def test_goodbye_is_the_last_message() -> None:
    stage = await NodeStage(links=2).ready()
    stage.node.outbox.publish(ALL, m.JoinRooms("/", (), (), ("x",)))
    await stage.node.close()
    sent = [type(decode(body).message) for _, body in stage.network.log]
    assert sent[-2:] == [m.JoinRooms, m.Goodbye]


async def test_close_waits_for_the_echo_of_the_goodbye_but_not_from_a_broker_that_is_lost() -> None:
    stage = await NodeStage(links=2).ready()
    stage.network.stall(1)
    closing = asyncio.ensure_future(stage.node.close())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not closing.done()
    stage.network.cut(1)
    await wait_until(closing.done, "the end")


async def test_wait_for_a_broker_that_returns_no_goodbye_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "FLUSH_TIMEOUT_S", 0.02)
    stage = await NodeStage(links=2).ready()
    stage.network.stall(1)
    with capture_logs() as logs:
        await stage.node.close()
    assert [line["brokers"] for line in logs if line["event"] == "bus_flush_timed_out"] == [[1]]
