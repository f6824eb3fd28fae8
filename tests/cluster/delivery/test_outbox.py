"""Published messages are numbered without gaps, kept for replay, and wait while no broker accepts them."""

import contextlib
from collections.abc import Collection

import pytest
from structlog.testing import capture_logs

from zmqio.adapter.base import Identity
from zmqio.cluster.delivery import outbox as outbox_module
from zmqio.cluster.delivery.outbox import Outbox
from zmqio.cluster.delivery.replay_buffer import MESSAGE_OVERHEAD_BYTES, ReplayBuffer, ReplayPage
from zmqio.cluster.diagnostics import Diagnostics
from zmqio.config import REPLAY_OVERHEAD_BYTES, BusOptions
from zmqio.exceptions import BusOverflowError, BusUnavailableError, EnvelopeError, MessageTooLargeError
from zmqio.ids import NodeId, NodeTag
from zmqio.protocol import messages as m
from zmqio.protocol.envelope import decode, encode
from zmqio.protocol.messages import Envelope, Message, MessageId
from zmqio.protocol.relay_messages import HttpResponse

ME = NodeId("tag1AAAAAAAAAAA")
T, U = b"zmqio/a/\0", b"zmqio/u/other\0"
SMALL = m.FetchRooms(1, "/")
SIZE = len(T) + len(encode(Envelope(MessageId(ME, 1, 0), SMALL))) + MESSAGE_OVERHEAD_BYTES


class FakeBus:
    """A bus with some links, each of which accepts messages or not."""

    brokers = "here and there"

    def __init__(self, links: int) -> None:
        self.connected_links: Collection[int] = range(links)
        self.accepting = set(range(links))
        self.sent: list[tuple[int | None, bytes, Envelope]] = []

    def publish(self, topic: bytes, body: bytes, *, link: int | None = None) -> int:
        accepting = self.accepting if link is None else self.accepting & {link}
        if accepting:
            self.sent.append((link, topic, decode(body)))
        return len(accepting)


class Harness:
    """An outbox on a `FakeBus`."""

    def __init__(self, links: int = 1, **options: int) -> None:
        self.now = 100.0
        self.bus = FakeBus(links)
        self.diagnostics = Diagnostics(lambda: self.now)
        self.outbox = Outbox(
            Identity(ME, NodeTag("tag1")),
            self.bus,  # type: ignore[arg-type]
            BusOptions(**options),  # type: ignore[arg-type]
            self.diagnostics,
            lambda: self.clock(),  # noqa: PLW0108 - tests replace the method
        )

    def clock(self) -> float:
        return self.now

    @property
    def incidents(self) -> dict[str, int]:
        """The counters without those of normal traffic."""
        traffic = ("messages_published", "bytes_published")
        return {name: count for name, count in self.diagnostics.counters.items() if name not in traffic}

    @property
    def message_ids(self) -> list[tuple[int, int | None]]:
        """(n, previous) of the messages sent."""
        return [(envelope.id.n, envelope.id.previous) for _, _, envelope in self.bus.sent]

    @property
    def kept(self) -> list[int]:
        """The numbers in the replay buffer."""
        page = self.outbox.page(0, lambda topic: True, 1e6)
        return [decode(row.body).id.n for row in page.messages]


def broadcast(text: str = "2[]", *, volatile: bool = False) -> Message:
    return m.BroadcastMessage("/", (), (), volatile, (text,))


def test_published_messages_name_their_predecessor_on_the_topic_and_are_kept() -> None:
    harness = Harness()
    for topic in (T, U, T, T):
        harness.outbox.publish(topic, SMALL)
    assert harness.message_ids == [(1, 0), (2, 0), (3, 1), (4, 3)]
    assert harness.kept == [1, 2, 3, 4]
    assert harness.incidents == {}


def test_one_of_two_links_is_enough() -> None:
    harness = Harness(links=2)
    harness.bus.accepting = {1}
    harness.outbox.publish(T, broadcast(volatile=True))
    harness.outbox.publish(T, SMALL, may_wait=False)
    assert (harness.kept, harness.outbox.buffer.unsent) == ([1, 2], 0)


# While no broker accepts messages.


def test_message_that_no_broker_accepts_waits_in_the_buffer() -> None:
    harness = Harness()
    harness.bus.accepting = set()
    with capture_logs() as lines:
        harness.outbox.publish(T, SMALL)
        harness.outbox.publish(T, SMALL)
    assert (harness.bus.sent, harness.kept, harness.outbox.buffer.unsent) == ([], [1, 2], 2)
    assert harness.incidents == {"message_queued": 2}
    assert [(line["event"], line["brokers"]) for line in lines] == [("message_queued", "here and there")]
    harness.bus.accepting = {0}
    harness.outbox.publish(T, SMALL)
    assert (harness.message_ids, harness.outbox.buffer.unsent) == ([(3, 2)], 0)


def test_volatile_broadcast_that_no_broker_accepts_is_dropped_and_leaves_no_gap() -> None:
    harness = Harness()
    harness.bus.accepting = set()
    harness.outbox.publish(T, broadcast(volatile=True))
    assert (harness.kept, harness.incidents) == ([], {"volatile_bus_messages_dropped": 1})
    assert harness.diagnostics.counters["messages_published"] == 0
    harness.bus.accepting = {0}
    harness.outbox.publish(T, broadcast(volatile=True))
    assert harness.message_ids == [(1, 0)]


def test_overflow_raises_with_its_numbers_and_leaves_no_gap() -> None:
    harness = Harness(replay_ring_bytes=3 * SIZE)
    for _ in range(2):
        harness.outbox.publish(T, SMALL)
    harness.bus.accepting = set()
    for _ in range(3):
        harness.outbox.publish(T, SMALL)  # the sent ones make room
    with pytest.raises(BusOverflowError) as raised:
        harness.outbox.publish(T, SMALL)
    assert (raised.value.waiting_messages, raised.value.limit_bytes) == (3, 3 * SIZE)
    assert harness.kept == [3, 4, 5]
    assert harness.diagnostics.counters["publish_failed"] == 1


def test_broadcast_without_room_is_refused_without_an_error_and_reported_as_lost() -> None:
    harness = Harness(replay_ring_bytes=3 * SIZE)
    harness.bus.accepting = set()
    for _ in range(3):
        harness.outbox.publish(T, SMALL)
    with capture_logs() as lines:
        assert [harness.outbox.publish(U, broadcast()) for _ in range(20)] == list(range(4, 24))
    assert [(line["event"], line["option"]) for line in lines] == [("broadcasts_refused", "replay_ring_bytes")]
    assert harness.diagnostics.counters["broadcasts_refused"] == 20
    page = harness.outbox.page(0, lambda topic: True, 1e6)
    assert [(row.topic, row.numbers) for row in page.lost] == [(U, tuple(range(4, 24)))]
    assert len(page.messages) == 3
    harness.outbox.page_sent(page)
    harness.bus.accepting = {0}
    harness.outbox.publish(U, broadcast())
    assert harness.message_ids == [(24, 23)]


def test_messages_of_the_relay_do_not_replace_broadcasts() -> None:
    harness = Harness(replay_ring_bytes=100_000)
    harness.outbox.publish(T, broadcast())
    for number in range(200):
        harness.outbox.publish(U, HttpResponse(number, 200, (), bytes(1_000)))
    page = harness.outbox.page(0, lambda topic: True, 1e6)
    assert page.messages[0].topic == T
    assert 10 < len(page.messages) < 30
    assert [row.topic for row in page.lost] == [U]
    assert len(page.lost[0].numbers) + len(page.messages) == 201


def test_messages_that_nobody_can_have_received_are_not_replaced_when_a_broker_is_back() -> None:
    """The first message that leaves announces them: other nodes cannot have requested them before."""
    harness = Harness(replay_ring_bytes=3 * SIZE)
    harness.bus.accepting = set()
    for _ in range(3):
        harness.outbox.publish(T, SMALL)
    harness.bus.accepting = {0}
    with pytest.raises(BusOverflowError):
        harness.outbox.publish(T, SMALL)
    harness.outbox.publish(T, broadcast(volatile=True))
    assert (harness.bus.sent, harness.kept) == ([], [1, 2, 3])
    assert harness.diagnostics.counters["volatile_bus_messages_dropped"] == 1
    page = harness.outbox.page(1, lambda topic: True, 1e6)
    harness.outbox.page_sent(page)
    harness.outbox.publish(T, SMALL)
    assert (harness.message_ids, harness.kept) == ([(4, 3)], [2, 3, 4])


def test_page_without_a_message_releases_held_messages_only_if_it_is_the_last() -> None:
    """A node without rooms skips thousands of messages in one page, before others have asked."""
    harness = waiting()
    for complete in (False, True):
        assert harness.outbox.buffer.held == 3
        harness.outbox.page_sent(ReplayPage(3, complete, 0, (), ()))
    assert harness.outbox.buffer.held == 0


# Unexpected errors.


class InjectedError(Exception):
    """Raised by a step of `publish`."""


STEPS = {
    "encode": (outbox_module, "encode"),
    "has_room": (ReplayBuffer, "has_room"),
    "add": (ReplayBuffer, "add"),
    "clock": (Harness, "clock"),
    "accept": (FakeBus, "publish"),
    "report": (Diagnostics, "report"),
    "mark_sent": (ReplayBuffer, "mark_sent"),
    "hold_newest": (ReplayBuffer, "hold_newest"),
    "trim": (ReplayBuffer, "trim"),
}


@pytest.mark.parametrize("accepting", [True, False])
@pytest.mark.parametrize("step", STEPS)
def test_unexpected_error_in_any_step_affects_no_later_message(
    monkeypatch: pytest.MonkeyPatch, step: str, accepting: bool
) -> None:
    """Every number belongs to one kept message, and no broker receives two messages with one number."""
    harness = Harness()
    harness.outbox.publish(T, SMALL)
    harness.bus.accepting = {0} if accepting else set()
    owner, name = STEPS[step]
    original = getattr(owner, name)

    def fail(*args: object, **options: object) -> None:
        if step == "accept":
            original(*args, **options)
        raise InjectedError

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail)
        for topic in (T, U, T):
            with contextlib.suppress(InjectedError):
                harness.outbox.publish(topic, broadcast())
    harness.bus.accepting = {0}
    for topic in (U, T):
        harness.outbox.publish(topic, SMALL)
    assert harness.kept == list(range(1, harness.outbox.buffer.newest + 1))
    numbers = [n for n, _ in harness.message_ids]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == harness.kept[-1]


def test_message_stays_in_the_buffer_if_the_bus_fails_unexpectedly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker may have accepted it: a second message with its number would be dropped as a duplicate."""
    harness = Harness()

    def fail(*args: object, **options: object) -> int:
        raise InjectedError

    with monkeypatch.context() as patch, pytest.raises(InjectedError):
        patch.setattr(harness.bus, "publish", fail)
        harness.outbox.publish(T, SMALL)
    assert (harness.kept, harness.outbox.buffer.held) == ([1], 1)
    assert harness.diagnostics.counters == {"publish_failed": 1}
    harness.outbox.publish(T, SMALL)
    assert harness.message_ids == [(2, 1)]


def test_heartbeat_that_fails_unexpectedly_does_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()

    def fail(*args: object, **options: object) -> int:
        raise InjectedError

    monkeypatch.setattr(harness.bus, "publish", fail)
    assert not harness.outbox.send_unsequenced(T, HEARTBEAT)
    assert harness.diagnostics.counters == {"publish_failed": 1}


def test_message_larger_than_the_buffer_cannot_wait() -> None:
    harness = Harness(replay_ring_bytes=SIZE - 1)
    harness.outbox.publish(T, SMALL)
    harness.bus.accepting = set()
    with pytest.raises(BusOverflowError):
        harness.outbox.publish(T, SMALL)


def test_request_does_not_wait_for_a_broker() -> None:
    harness = Harness()
    harness.bus.accepting = set()
    with pytest.raises(BusOverflowError):
        harness.outbox.publish(T, SMALL, may_wait=False)
    harness.bus.connected_links = ()
    with pytest.raises(BusUnavailableError, match="no broker is connected; tried: here and there"):
        harness.outbox.publish(T, SMALL, may_wait=False)
    assert harness.kept == []
    harness.bus.accepting = {0}
    harness.outbox.publish(T, SMALL, may_wait=False)
    assert (harness.message_ids, harness.kept) == ([(1, 0)], [1])


def test_unsent_messages_that_expire_are_counted_and_logged_once() -> None:
    harness = Harness()
    harness.outbox.publish(T, SMALL)
    harness.bus.accepting = set()
    for _ in range(2):
        harness.outbox.publish(T, SMALL)
    harness.now += 61
    with capture_logs() as lines:
        harness.outbox.expire()
        harness.outbox.expire()
    assert [(line["event"], line["messages"]) for line in lines] == [("unsent_messages_expired", 2)]
    assert harness.kept == []


# Rejected messages.


def test_message_that_is_too_large_leaves_no_gap() -> None:
    harness = Harness(max_message_bytes=2_000)
    harness.outbox.publish(T, SMALL)
    with pytest.raises(MessageTooLargeError) as raised:
        harness.outbox.publish(T, broadcast("2" + "x" * 2_000))
    assert raised.value.limit_bytes == 2_000 - REPLAY_OVERHEAD_BYTES
    harness.outbox.publish(T, SMALL)
    assert (harness.message_ids, harness.kept) == ([(1, 0), (2, 1)], [1, 2])


def test_message_that_has_no_wire_form_leaves_no_gap() -> None:
    harness = Harness()
    with pytest.raises(EnvelopeError):
        harness.outbox.publish(T, m.FetchRooms(1, "/\0"))
    harness.outbox.publish(T, SMALL)
    assert (harness.message_ids, harness.kept) == ([(1, 0)], [1])


def test_closed_outbox_publishes_nothing_and_gives_the_reason() -> None:
    harness = Harness()
    harness.outbox.close("over")
    for may_wait in (True, False):
        with pytest.raises(BusUnavailableError, match="over"):
            harness.outbox.publish(T, SMALL, may_wait=may_wait)
    assert (harness.bus.sent, harness.kept) == ([], [])


# Unsequenced messages.


def test_unsequenced_message_carries_the_counter_and_is_not_kept() -> None:
    harness = Harness(links=2)
    harness.outbox.publish(T, SMALL)
    harness.outbox.send_unsequenced(T, m.Goodbye("x"), link=1)
    assert harness.bus.sent[-1] == (1, T, Envelope(MessageId(ME, 1, None), m.Goodbye("x")))
    assert harness.kept == [1]


def test_unsequenced_messages_that_are_not_accepted_are_counted_by_type() -> None:
    harness = Harness(links=2)
    harness.bus.accepting = {1}
    harness.outbox.send_unsequenced(T, m.Goodbye("x"), link=0)
    harness.outbox.send_unsequenced(T, m.ReplayRequest(1, 0, 1.0, b""), link=0)
    harness.outbox.send_unsequenced(T, m.ReplayAnswer(1, 0, True, 0, (), ()), link=0)
    assert harness.incidents == {
        "goodbyes_unsent": 1,
        "replay_requests_unsent": 1,
        "replay_answers_unsent": 1,
    }


HEARTBEAT = m.Heartbeat(False, 1.0, False, "host", 1, 1)


def waiting() -> Harness:
    """A full buffer of three messages that no broker has accepted; a broker now accepts messages again."""
    harness = Harness(replay_ring_bytes=3 * SIZE)
    harness.bus.accepting.clear()
    for _ in range(3):
        harness.outbox.publish(T, SMALL)
    assert not harness.outbox.send_unsequenced(T, HEARTBEAT)
    harness.bus.accepting.add(0)
    return harness


def send_heartbeats(harness: Harness, seconds: float) -> None:
    """Send a heartbeat per second."""
    for _ in range(int(seconds)):
        harness.now += 1
        harness.outbox.send_unsequenced(T, HEARTBEAT)


def test_pending_messages_count_as_sent_once_heartbeats_have_announced_them_for_dead_after_s() -> None:
    harness = waiting()
    harness.outbox.send_unsequenced(T, HEARTBEAT)
    send_heartbeats(harness, BusOptions().dead_after_s - 1)
    assert harness.outbox.buffer.unsent == 3
    send_heartbeats(harness, 1)
    assert harness.outbox.buffer.unsent == 0
    assert harness.kept == [1, 2, 3]
    harness.bus.accepting.clear()
    harness.outbox.publish(T, SMALL)  # replaces the oldest, which counts as sent
    assert (harness.kept, harness.outbox.buffer.unsent) == ([2, 3, 4], 1)
    harness.now += 1e6
    with capture_logs() as lines:
        harness.outbox.expire()
    assert [(line["event"], line["messages"]) for line in lines] == [("unsent_messages_expired", 1)]


def test_lost_link_and_other_messages_do_not_announce_pending_messages() -> None:
    """A broker that is connected only for a moment may have announced nothing to other nodes."""
    harness = waiting()
    for _ in range(10):
        send_heartbeats(harness, BusOptions().dead_after_s)
        harness.outbox.link_lost()
    for _ in range(10):
        harness.now += 1
        harness.outbox.send_unsequenced(U, m.Goodbye("bye"))
    assert harness.outbox.buffer.unsent == 3
    with pytest.raises(BusOverflowError):
        harness.bus.accepting.clear()
        harness.outbox.publish(T, SMALL)


@pytest.mark.parametrize("limit", [600, 5_000, 100_000])
def test_page_fits_into_one_message_whatever_the_limit(limit: int) -> None:
    """Whether it reports losses, holds one message of the largest size, or thousands of small ones."""
    harness = Harness(max_message_bytes=limit, replay_ring_bytes=1 << 20)
    for number in range(2_000):
        harness.outbox.publish(b"zmqio/r//\0%d\0" % (number % 700), broadcast())
    largest = limit - REPLAY_OVERHEAD_BYTES - len(T) - 40
    harness.outbox.publish(T, broadcast("2" + "x" * largest))
    for _ in range(6_000):
        harness.outbox.publish(T, SMALL)
    after, complete, found = 0, False, 0
    while not complete:
        page = harness.outbox.page(after, lambda topic: True, 1e6)
        answer = m.ReplayAnswer(1, page.upto, page.complete, page.forgotten, page.lost, page.messages)
        assert len(encode(Envelope(MessageId(ME, 1 << 40), answer))) + 60 <= limit
        found += len(page.messages) + sum(len(row.numbers) for row in page.lost) + page.forgotten
        after, complete = page.upto, page.complete
    assert found == 8_001
