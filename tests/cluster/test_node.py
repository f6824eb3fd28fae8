"""A node starts, publishes, reports its health and leaves. The test simulates its peers."""

import asyncio
import selectors
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from tests.support.node_harness import ALL, PEER, NodeHarness
from tests.support.timing import wait_until
from zmqio.cluster import node as node_module
from zmqio.config import BusOptions
from zmqio.exceptions import BusUnavailableError, MessageTooLargeError
from zmqio.protocol import messages as m
from zmqio.protocol.envelope import decode


@pytest_asyncio.fixture
async def harness() -> AsyncIterator[NodeHarness]:
    harness = await NodeHarness().ready()
    yield harness
    await harness.node.close()


async def test_responses_are_sequenced_on_the_topic_of_the_inbox(harness: NodeHarness) -> None:
    for number in range(3):
        harness.node.outbox.respond(PEER, m.AckCount(number, 0))
    ids = [envelope.id for _, envelope in harness.sent(m.AckCount)]
    assert [(message_id.n, message_id.previous) for message_id in ids] == [(1, 0), (2, 1), (3, 2)]


async def test_message_over_the_limit_leaves_no_gap() -> None:
    harness = await NodeHarness(options=BusOptions(heartbeat_s=0.02, max_message_bytes=1_000)).ready()
    harness.node.outbox.publish(ALL, m.FetchRooms(1, "/"))
    with pytest.raises(MessageTooLargeError):
        harness.node.outbox.publish(ALL, m.JoinRooms("/", (), (), ("x" * 1000,)))
    harness.node.outbox.publish(ALL, m.FetchRooms(2, "/"))
    ids = [envelope.id for _, envelope in harness.sent(m.FetchRooms)]
    assert [(message_id.n, message_id.previous) for message_id in ids] == [(1, 0), (2, 1)]
    assert harness.node.diagnostics.counters["publish_failed"] == 1
    await harness.node.close()


async def test_response_that_cannot_be_sent_is_counted_and_not_raised(harness: NodeHarness) -> None:
    await harness.node.close()
    harness.node.outbox.respond(PEER, m.AckCount(1, 0))
    assert harness.node.diagnostics.counters["responses_unsent"] == 1


async def test_close_says_goodbye_and_cancels_the_tasks() -> None:
    harness = await NodeHarness().ready()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    harness.node.spawn(work())
    await asyncio.sleep(0)
    await harness.node.close()
    assert [envelope.message for _, envelope in harness.sent(m.Goodbye)] == [m.Goodbye("goodbye")]
    assert ended.is_set()
    assert harness.bus.closed
    assert harness.node.health().reasons == ("the node has stopped",)
    with pytest.raises(BusUnavailableError):
        harness.node.outbox.publish(ALL, m.FetchRooms(1, "/"))


async def test_failed_task_is_counted_and_logged(harness: NodeHarness) -> None:
    async def work() -> None:
        raise RuntimeError("broken")

    with capture_logs() as lines:
        harness.node.spawn(work())
        await wait_until(lambda: harness.node.diagnostics.counters["tasks_failed"], "the count")
    assert [line["event"] for line in lines] == ["node_task_failed"]


async def test_close_sync_says_goodbye_without_an_event_loop() -> None:
    harness = await NodeHarness().ready()
    await asyncio.to_thread(_close_without_loop, harness)
    assert [envelope.message for _, envelope in harness.sent(m.Goodbye)] == [m.Goodbye("exit")]
    assert harness.bus.closed
    await harness.node.close()


def _close_without_loop(harness: NodeHarness) -> None:
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    harness.network.faults.drop = lambda topic, body: True  # delivery needs a loop; only the publish is checked
    harness.node.close_sync()


async def test_goodbye_is_the_last_message() -> None:
    harness = await NodeHarness(links=2).ready()
    harness.node.outbox.publish(ALL, m.JoinRooms("/", (), (), ("x",)))
    await harness.node.close()
    sent = [type(decode(body).message) for _, body in harness.network.log]
    assert sent[-2:] == [m.JoinRooms, m.Goodbye]


async def test_close_waits_for_the_echo_of_the_goodbye_but_not_from_a_broker_that_is_lost() -> None:
    harness = await NodeHarness(links=2).ready()
    harness.network.stall(1)
    closing = asyncio.ensure_future(harness.node.close())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not closing.done()
    harness.network.cut(1)
    await wait_until(closing.done, "the end")


async def test_wait_for_a_broker_that_returns_no_goodbye_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "FLUSH_TIMEOUT_S", 0.3)  # the other broker answers sooner
    harness = await NodeHarness(links=2).ready()
    harness.network.stall(1)
    with capture_logs() as logs:
        await harness.node.close()
    assert [line["brokers"] for line in logs if line["event"] == "bus_flush_timed_out"] == [[1]]


class CountingSelector(selectors.DefaultSelector):
    """Counts how often the event loop waits: an idle process wakes up as often."""

    turns = 0
    after = 10**9

    def select(self, timeout: float | None = None) -> "list[tuple[selectors.SelectorKey, int]]":
        self.turns += 1
        if self.turns == self.after:
            asyncio.get_running_loop().call_soon(self.reached.set)
        return super().select(timeout)

    async def wait_turns(self, count: int) -> None:
        self.reached = asyncio.Event()
        self.after = self.turns + count
        await self.reached.wait()


def test_idle_node_wakes_up_for_its_heartbeats_only() -> None:
    selector = CountingSelector()

    async def run() -> int:
        harness = await NodeHarness().ready()
        before = len(harness.sent(m.Heartbeat))
        await selector.wait_turns(100)
        heartbeats = len(harness.sent(m.Heartbeat)) - before
        await harness.node.close()
        return heartbeats

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        assert runner.run(run()) >= 40  # each heartbeat comes back, which may take a turn of its own


async def test_requests_are_repeated_between_two_heartbeats() -> None:
    options = BusOptions(heartbeat_s=3_600, dead_after_s=4 * 3_600)
    harness = await NodeHarness(options=options).ready()
    harness.peer_sends(m.FetchRooms(1, "/"), topic=b"not subscribed")
    harness.peer_heartbeat()  # names a message that this node has not received; the peer never answers
    await wait_until(lambda: len(harness.sent(m.ReplayRequest)) == 2, "the repetition")
    await harness.node.close()
