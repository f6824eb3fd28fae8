"""What a node says: numbered without a hole, kept for who misses it, and waiting while no broker takes it."""

from collections.abc import Collection

import pytest
from structlog.testing import capture_logs

from zmqio.adapter.base import Identity
from zmqio.cluster.delivery.outbox import Outbox
from zmqio.cluster.delivery.replay_buffer import MESSAGE_OVERHEAD_BYTES
from zmqio.cluster.diagnostics import Diagnostics
from zmqio.config import REPLAY_OVERHEAD_BYTES, BusOptions
from zmqio.exceptions import BusOverflowError, BusUnavailableError, EnvelopeError, MessageTooLargeError
from zmqio.ids import NodeId, NodeTag
from zmqio.protocol import messages as m
from zmqio.protocol.envelope import decode, encode
from zmqio.protocol.messages import Envelope, Message, MessageId

ME = NodeId("tag1AAAAAAAAAAA")
T, U = b"zmqio/a/\0", b"zmqio/u/other\0"
SMALL = m.FetchRooms(1, "/")
SIZE = len(T) + len(encode(Envelope(MessageId(ME, 1, 0), SMALL))) + MESSAGE_OVERHEAD_BYTES


class FakeBus:
    """A bus of some links, each of which takes messages or not."""

    brokers = "here and there"

    def __init__(self, links: int) -> None:
        self.connected_links: Collection[int] = range(links)
        self.taking = set(range(links))
        self.sent: list[tuple[int | None, bytes, Envelope]] = []

    def publish(self, topic: bytes, body: bytes, *, link: int | None = None) -> int:
        taking = self.taking if link is None else self.taking & {link}
        if taking:
            self.sent.append((link, topic, decode(body)))
        return len(taking)


class Stage:
    """An outbox on such a bus."""

    def __init__(self, links: int = 1, **options: int) -> None:
        self.now = 100.0
        self.bus = FakeBus(links)
        self.diagnostics = Diagnostics(lambda: self.now)
        self.outbox = Outbox(
            Identity(ME, NodeTag("tag1")),
            self.bus,  # type: ignore[arg-type]
            BusOptions(**options),  # type: ignore[arg-type]
            self.diagnostics,
            lambda: self.now,
        )

    @property
    def message_ids(self) -> list[tuple[int, int | None]]:
        """(n, previous) of what was sent."""
        return [(envelope.id.n, envelope.id.previous) for _, _, envelope in self.bus.sent]

    @property
    def kept(self) -> list[int]:
        """The numbers in the ring."""
        page = self.outbox.page(0, lambda topic: True, 1e6)
        return [decode(row.body).id.n for row in page.messages]


def broadcast(text: str = "2[]", *, volatile: bool = False) -> Message:
    return m.BroadcastMessage("/", (), (), volatile, (text,))


def test_published_messages_name_the_one_before_on_their_topic_and_are_kept() -> None:
    stage = Stage()
    for topic in (T, U, T, T):
        stage.outbox.publish(topic, SMALL)
    assert stage.message_ids == [(1, 0), (2, 0), (3, 1), (4, 3)]
    assert stage.kept == [1, 2, 3, 4]
    assert stage.diagnostics.counters == {}


def test_one_of_two_links_is_enough() -> None:
    stage = Stage(links=2)
    stage.bus.taking = {1}
    stage.outbox.publish(T, broadcast(volatile=True))
    stage.outbox.publish(T, SMALL, may_wait=False)
    assert (stage.kept, stage.outbox.buffer.unsent) == ([1, 2], 0)


# While nothing is taken.


def test_message_that_no_broker_takes_waits_in_the_ring() -> None:
    stage = Stage()
    stage.bus.taking = set()
    with capture_logs() as lines:
        stage.outbox.publish(T, SMALL)
        stage.outbox.publish(T, SMALL)
    assert (stage.bus.sent, stage.kept, stage.outbox.buffer.unsent) == ([], [1, 2], 2)
    assert stage.diagnostics.counters == {"message_queued": 2}
    assert [(line["event"], line["brokers"]) for line in lines] == [("message_queued", "here and there")]
    stage.bus.taking = {0}
    stage.outbox.publish(T, SMALL)
    assert (stage.message_ids, stage.outbox.buffer.unsent) == ([(3, 2)], 0)


def test_volatile_broadcast_is_dropped_and_leaves_no_gap() -> None:
    stage = Stage()
    stage.bus.taking = set()
    stage.outbox.publish(T, broadcast(volatile=True))
    assert (stage.kept, stage.diagnostics.counters) == ([], {"volatile_messages_dropped": 1})
    stage.bus.taking = {0}
    stage.outbox.publish(T, broadcast(volatile=True))
    assert stage.message_ids == [(1, 0)]


def test_overflow_is_an_error_with_its_numbers_and_leaves_no_gap() -> None:
    stage = Stage(replay_ring_bytes=3 * SIZE)
    for _ in range(2):
        stage.outbox.publish(T, SMALL)
    stage.bus.taking = set()
    for _ in range(3):
        stage.outbox.publish(T, SMALL)  # those that were sent make room
    with pytest.raises(BusOverflowError) as raised:
        stage.outbox.publish(T, SMALL)
    assert (raised.value.waiting_messages, raised.value.limit_bytes) == (3, 3 * SIZE)
    assert stage.kept == [3, 4, 5]
    assert stage.diagnostics.counters["publish_failed"] == 1
    stage.bus.taking = {0}
    stage.outbox.publish(T, SMALL)
    assert stage.message_ids[-1] == (6, 5)


def test_message_that_is_larger_than_the_ring_cannot_wait() -> None:
    stage = Stage(replay_ring_bytes=SIZE - 1)
    stage.outbox.publish(T, SMALL)
    stage.bus.taking = set()
    with pytest.raises(BusOverflowError):
        stage.outbox.publish(T, SMALL)


def test_question_does_not_wait() -> None:
    stage = Stage()
    stage.bus.taking = set()
    with pytest.raises(BusOverflowError):
        stage.outbox.publish(T, SMALL, may_wait=False)
    stage.bus.connected_links = ()
    with pytest.raises(BusUnavailableError, match="no broker is connected; tried: here and there"):
        stage.outbox.publish(T, SMALL, may_wait=False)
    assert stage.kept == []
    stage.bus.taking = {0}
    stage.outbox.publish(T, SMALL, may_wait=False)
    assert (stage.message_ids, stage.kept) == ([(1, 0)], [1])


def test_what_expires_before_a_broker_took_it_is_counted_and_told_once() -> None:
    stage = Stage()
    stage.outbox.publish(T, SMALL)
    stage.bus.taking = set()
    for _ in range(2):
        stage.outbox.publish(T, SMALL)
    stage.now += 61
    with capture_logs() as lines:
        stage.outbox.expire()
        stage.outbox.expire()
    assert [(line["event"], line["messages"]) for line in lines] == [("unsent_messages_expired", 2)]
    assert stage.kept == []


# What is refused.


def test_message_that_is_too_large_leaves_no_gap() -> None:
    stage = Stage(max_message_bytes=2_000)
    stage.outbox.publish(T, SMALL)
    with pytest.raises(MessageTooLargeError) as raised:
        stage.outbox.publish(T, broadcast("2" + "x" * 2_000))
    assert raised.value.limit_bytes == 2_000 - REPLAY_OVERHEAD_BYTES
    stage.outbox.publish(T, SMALL)
    assert (stage.message_ids, stage.kept) == ([(1, 0), (2, 1)], [1, 2])


def test_message_that_has_no_wire_form_leaves_no_gap() -> None:
    stage = Stage()
    with pytest.raises(EnvelopeError):
        stage.outbox.publish(T, m.FetchRooms(1, "/\0"))
    stage.outbox.publish(T, SMALL)
    assert (stage.message_ids, stage.kept) == ([(1, 0)], [1])


def test_nothing_is_published_after_shut_and_the_reason_is_told() -> None:
    stage = Stage()
    stage.outbox.close("over")
    for may_wait in (True, False):
        with pytest.raises(BusUnavailableError, match="over"):
            stage.outbox.publish(T, SMALL, may_wait=may_wait)
    assert (stage.bus.sent, stage.kept) == ([], [])


# Unsequenced messages.


def test_what_is_told_shows_the_counter_and_is_not_kept() -> None:
    stage = Stage(links=2)
    stage.outbox.publish(T, SMALL)
    stage.outbox.send_unsequenced(T, m.Goodbye("x"), link=1)
    assert stage.bus.sent[-1] == (1, T, Envelope(MessageId(ME, 1, None), m.Goodbye("x")))
    assert stage.kept == [1]


def test_what_is_told_and_not_taken_is_counted_by_its_kind() -> None:
    stage = Stage(links=2)
    stage.bus.taking = {1}
    stage.outbox.send_unsequenced(T, m.Goodbye("x"), link=0)
    stage.outbox.send_unsequenced(T, m.ReplayRequest(1, 0, 1.0, b""), link=0)
    stage.outbox.send_unsequenced(T, m.ReplayAnswer(1, 0, True, 0, (), ()), link=0)
    assert stage.diagnostics.counters == {
        "goodbyes_unsent": 1,
        "replay_requests_unsent": 1,
        "replay_answers_unsent": 1,
    }


BEAT = m.Heartbeat(False, 1.0, False, "host", 1, 1)


def waiting() -> Stage:
    """Three messages in a ring for three, which no broker has taken; one takes messages again."""
    stage = Stage(replay_ring_bytes=3 * SIZE)
    stage.bus.taking.clear()
    for _ in range(3):
        stage.outbox.publish(T, SMALL)
    assert not stage.outbox.send_unsequenced(T, BEAT)
    stage.bus.taking.add(0)
    return stage


def beat(stage: Stage, seconds: float) -> None:
    """A heartbeat each second."""
    for _ in range(int(seconds)):
        stage.now += 1
        stage.outbox.send_unsequenced(T, BEAT)


def test_what_waited_does_not_any_more_when_heartbeats_have_told_of_it_for_long_enough() -> None:
    stage = waiting()
    stage.outbox.send_unsequenced(T, BEAT)
    beat(stage, BusOptions().dead_after_s - 1)
    assert stage.outbox.buffer.unsent == 3
    beat(stage, 1)
    assert stage.outbox.buffer.unsent == 0
    assert stage.kept == [1, 2, 3]
    stage.bus.taking.clear()
    stage.outbox.publish(T, SMALL)  # in place of the oldest, which was told of
    assert (stage.kept, stage.outbox.buffer.unsent) == ([2, 3, 4], 1)
    stage.now += 1e6
    with capture_logs() as lines:
        stage.outbox.expire()
    assert [(line["event"], line["messages"]) for line in lines] == [("unsent_messages_expired", 1)]


def test_a_lost_link_and_other_messages_make_it_wait_on() -> None:
    """A broker that is there for a moment, perhaps for this node alone, has told nobody."""
    stage = waiting()
    for _ in range(10):
        beat(stage, BusOptions().dead_after_s)
        stage.outbox.link_lost()
    for _ in range(10):
        stage.now += 1
        stage.outbox.send_unsequenced(U, m.Goodbye("bye"))
    assert stage.outbox.buffer.unsent == 3
    with pytest.raises(BusOverflowError):
        stage.bus.taking.clear()
        stage.outbox.publish(T, SMALL)


@pytest.mark.parametrize("limit", [600, 5_000, 100_000])
def test_page_fits_into_one_message_whatever_the_limit(limit: int) -> None:
    """Be it all lost, or one message as large as it may be, or thousands of small ones."""
    stage = Stage(max_message_bytes=limit, replay_ring_bytes=1 << 20)
    for number in range(2_000):
        stage.outbox.publish(b"zmqio/r//\0%d\0" % (number % 700), broadcast())
    largest = limit - REPLAY_OVERHEAD_BYTES - len(T) - 40
    stage.outbox.publish(T, broadcast("2" + "x" * largest))
    for _ in range(6_000):
        stage.outbox.publish(T, SMALL)
    after, complete, found = 0, False, 0
    while not complete:
        page = stage.outbox.page(after, lambda topic: True, 1e6)
        answer = m.ReplayAnswer(1, page.upto, page.complete, page.forgotten, page.lost, page.messages)
        assert len(encode(Envelope(MessageId(ME, 1 << 40), answer))) + 60 <= limit
        found += len(page.messages) + sum(len(row.numbers) for row in page.lost) + page.forgotten
        after, complete = page.upto, page.complete
    assert found == 8_001
