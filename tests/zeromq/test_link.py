"""Tests of `zmqio.zeromq.link`."""

import asyncio
import contextlib
import itertools

import pytest
import structlog

from tests.support.loopback_broker import LoopbackBroker, running_broker
from tests.support.timing import LIMIT_S, wait_until
from zmqio.links import link_log
from zmqio.zeromq import link as link_module
from zmqio.zeromq.link import BrokerLink, LinkOptions, LinkState
from zmqio.zeromq.subscribe_barrier import SubscribeBarrier

ALL = b"zmqio/a/\0"


class LinkRecord:
    """The reports of a link."""

    def __init__(self):
        self.messages, self.malformed, self.changes = [], [], []

    def link_message(self, link, topic, body):
        self.messages.append((link, topic, body))

    def link_malformed(self, link, reason):
        self.malformed.append((link, reason))

    def link_departure(self, link, inbox):
        self.changes.append(inbox)

    def link_overrun(self, link):
        self.changes.append("overrun")

    def link_lost(self, link):
        self.changes.append("lost")

    def link_ready(self, link):
        self.changes.append("ready")


@contextlib.contextmanager
def connected_link(broker: LoopbackBroker, silent_after_s: float = 5.0):
    record = LinkRecord()
    link = BrokerLink(7, broker.address, LinkOptions(1_000, 64 << 20, silent_after_s), record)
    try:
        yield link, record
    finally:
        if flush := link.close():
            flush.send_rest(0)


def waiter_of(barrier: SubscribeBarrier) -> asyncio.Future[None]:
    future = asyncio.get_running_loop().create_future()
    barrier.add_waiter(future)
    return future


async def test_link_is_ready_when_the_broker_has_applied_the_subscriptions():
    with running_broker() as broker, connected_link(broker) as (link, record):
        link.subscribe([ALL])
        await wait_until(lambda: link.state is LinkState.READY, "ready")
        assert record.changes == ["ready"]
        assert broker.subscribed == [ALL]
        link.publisher.send(ALL + b"x")
        await wait_until(lambda: record.messages, "the message")
        assert record.messages == [(7, ALL, b"x")]


async def test_link_is_not_ready_while_the_broker_does_not_accept_everything():
    with running_broker(takes_all=False) as broker, connected_link(broker) as (link, _):
        barrier = SubscribeBarrier([7])
        link.subscribe([ALL])
        await wait_until(lambda: broker.subscribed, "the subscription")
        assert link.state is LinkState.CONNECTING
        link.sync(barrier)
        assert barrier.is_done


async def test_unanswered_sync_request_is_repeated_with_another_topic():
    with running_broker(answers=False) as broker, connected_link(broker) as (link, record):
        await wait_until(lambda: len(broker.asked) >= 2, "asked twice")
        assert link.state is LinkState.SYNCING
        assert broker.asked[0] != broker.asked[1]
        broker.answers = True
        await wait_until(lambda: record.changes == ["ready"], "ready")


async def test_unresponsive_broker_is_dropped_and_its_barriers_are_released():
    with running_broker() as broker, connected_link(broker, silent_after_s=0.5) as (link, record):
        await wait_until(lambda: record.changes == ["ready"], "ready")
        broker.answers = False
        barrier = SubscribeBarrier([7])
        link.sync(barrier)
        await asyncio.wait_for(waiter_of(barrier), LIMIT_S)
        assert record.changes == ["ready", "lost"]
        broker.answers = True
        await wait_until(lambda: record.changes == ["ready", "lost", "ready"], "ready again")


async def test_many_barriers_share_sync_requests(monkeypatch):
    with running_broker() as broker, connected_link(broker) as (link, record):
        await wait_until(lambda: record.changes == ["ready"], "ready")
        monkeypatch.setattr(link_module, "ASK_AGAIN_S", LIMIT_S)  # a slow answer does not cause another request
        before = len(broker.asked)
        waiters = []
        for number in range(200):
            link.subscribe([b"zmqio/r//\0%d\0" % number])
            barrier = SubscribeBarrier([7])
            link.sync(barrier)
            waiters.append(waiter_of(barrier))
        await asyncio.wait_for(asyncio.gather(*waiters), LIMIT_S)
        assert len(broker.asked) - before == 2
        assert len(broker.subscribed) == 200


async def test_after_a_broker_restart_the_link_is_ready_once_subscriptions_are_applied():
    with running_broker() as broker, connected_link(broker) as (link, record):
        link.subscribe([ALL])
        await wait_until(lambda: record.changes == ["ready"], "ready")
        broker.stop()
        await wait_until(lambda: record.changes == ["ready", "lost"], "lost")
        broker.subscribed.clear()
        broker.start()
        await wait_until(lambda: record.changes == ["ready", "lost", "ready"], "ready again")
        assert broker.subscribed == [ALL]
        link.publisher.send(ALL + b"again")
        await wait_until(lambda: record.messages == [(7, ALL, b"again")], "the message")


async def test_limit_of_the_broker_becomes_known_even_if_the_link_is_lost_before_the_answer():
    with running_broker(topic_bytes=None) as broker, connected_link(broker, 0.2) as (link, record):
        await wait_until(lambda: record.changes == ["ready"], "ready")
        broker.answers = False
        link.sync(SubscribeBarrier([7]))
        await wait_until(lambda: record.changes == ["ready", "lost"], "the loss")
        broker.answers = True
        await wait_until(lambda: record.changes == ["ready", "lost", "ready"], "ready again")
        link.subscribe([b"topic"])
        broker.topic_bytes = 3
        await wait_until(lambda: "--subscription-bytes" in link.problem, "the reason")
        assert len(broker.version_checks) == 1, "the question was asked again, and may never be answered in time"


async def test_request_waits_behind_the_subscriptions_without_taking_the_broker_for_silent():
    silent_after_s = 2.5
    with (
        structlog.testing.capture_logs() as lines,
        running_broker(subscription_bytes=6_000) as broker,
        connected_link(broker, silent_after_s) as (link, record),
    ):
        await wait_until(lambda: record.changes == ["ready"], "ready")
        await wait_until(
            lambda: "broker_version_checked" in [line["event"] for line in lines], "the limits of the broker"
        )
        # 23 bytes each, of which 9,000 are sent per second: the request waits twice as long as its answer may.
        topics = [b"zmqio/r//\0room-%04d\0" % number for number in range(int(2 * silent_after_s * 9_000 / 23))]
        link.subscribe(topics)
        barrier = SubscribeBarrier([7])
        link.sync(barrier)
        await waiter_of(barrier)
        assert broker.subscribed == topics
        assert record.changes == ["ready"]


async def test_broker_that_stops_responding_is_noticed_by_a_node_that_joins_without_pause():
    with (
        running_broker(subscription_bytes=6_000) as broker,
        connected_link(broker, silent_after_s=0.5) as (link, record),
    ):
        await wait_until(lambda: record.changes == ["ready"], "ready")
        broker.answers, before = False, len(broker.asked)
        link.sync(SubscribeBarrier([7]))
        await wait_until(lambda: len(broker.asked) > before, "the request")
        numbers = itertools.count()

        def is_lost() -> bool:
            link.subscribe(b"%0300d" % next(numbers) for _ in range(100))  # more than is sent until the next call
            return record.changes == ["ready", "lost"]

        await wait_until(is_lost, "the loss")


async def test_loss_releases_waiting_barriers():
    with running_broker() as broker, connected_link(broker) as (link, record):
        await wait_until(lambda: record.changes == ["ready"], "ready")
        broker.answers = False
        barriers = [SubscribeBarrier([7]), SubscribeBarrier([7])]
        for barrier in barriers:
            link.sync(barrier)
        broker.stop()
        await wait_until(lambda: all(barrier.is_done for barrier in barriers), "released")


async def test_malformed_acknowledgement_is_reported():
    with running_broker() as broker, connected_link(broker) as (link, record):
        link.subscribe([b"\xff"])
        await wait_until(lambda: record.changes == ["ready"], "ready")
        link.publisher.send(b"\xffsync-short")
        await wait_until(lambda: record.malformed, "the report")
        assert record.malformed == [(7, "malformed acknowledgement")]
        assert link.state is LinkState.READY


async def test_departure_of_a_node_is_reported():
    with running_broker() as broker, connected_link(broker) as (link, record):
        link.subscribe([b"\xff"])
        await wait_until(lambda: record.changes == ["ready"], "ready")
        link.publisher.send(b"\xffgone-zmqio/u/node\0")
        await wait_until(lambda: len(record.changes) == 2, "the departure")
        assert record.changes[1] == b"zmqio/u/node\0"


async def logged(lines: list, event: str, reason: str) -> None:
    """Wait for a log line with that event and reason."""
    await wait_until(lambda: any(line["event"] == event and line["reason"] == reason for line in lines), reason)


@pytest.fixture
def frequent_reminders(monkeypatch):
    monkeypatch.setattr(link_log, "FIRST_REMINDER_S", 0.05)
    monkeypatch.setattr(link_log, "REMINDER_S", 0.05)


@pytest.mark.usefixtures("frequent_reminders")
async def test_log_names_the_reason_of_a_loss_and_of_failed_attempts():
    with (
        structlog.testing.capture_logs() as lines,
        running_broker() as broker,
        connected_link(broker) as (_, record),
    ):
        await wait_until(lambda: record.changes == ["ready"], "ready")
        broker.stop()
        await logged(lines, "broker_unreachable", "Connection refused")
        (lost,) = [line["reason"] for line in lines if line["event"] == "broker_lost"]
        assert lost in ("the peer closed the connection", "Connection reset by peer")


@pytest.mark.usefixtures("frequent_reminders")
@pytest.mark.parametrize(
    ("lacks", "reason"),
    [
        ({"takes_all": False}, "connected, but the broker does not accept messages yet"),
        ({"answers": False}, "connected, but the broker has not acknowledged the subscriptions"),
    ],
)
async def test_log_names_what_is_missing_from_a_connected_broker(lacks, reason):
    with structlog.testing.capture_logs() as lines, running_broker(**lacks) as broker, connected_link(broker):
        await logged(lines, "broker_unreachable", reason)
