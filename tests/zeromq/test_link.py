"""Tests of `zmqio.zeromq.link`."""

import asyncio
import contextlib

import pytest
import structlog
import zmq

from tests.support.loopback_broker import LoopbackBroker, running_broker
from tests.support.timing import wait_until
from zmqio.zeromq import link_log
from zmqio.zeromq.link import BrokerLink, LinkOptions, LinkState
from zmqio.zeromq.subscribe_barrier import SubscribeBarrier

ALL = b"zmqio/a/\0"


class Recorded:
    def __init__(self):
        self.messages, self.rubbish, self.changes = [], [], []

    def link_message(self, link, topic, body):
        self.messages.append((link, topic, body))

    def link_rubbish(self, link, reason):
        self.rubbish.append((link, reason))

    def link_behind(self, link):
        self.changes.append("behind")

    def link_lost(self, link):
        self.changes.append("lost")

    def link_ready(self, link):
        self.changes.append("ready")


@contextlib.contextmanager
def linked(broker: LoopbackBroker, silent_after_s: float = 5.0):
    context, recorded = zmq.Context(), Recorded()
    link = BrokerLink(7, broker.address, context, LinkOptions(1_000, silent_after_s), recorded)
    try:
        yield link, recorded
    finally:
        if leftover := link.close():
            leftover.send_rest(0)
        context.destroy(linger=0)


def waiting(barrier: SubscribeBarrier) -> asyncio.Future[None]:
    future = asyncio.get_running_loop().create_future()
    barrier.wait_with(future)
    return future


async def test_ready_when_the_broker_has_applied_the_subscriptions():
    with running_broker() as broker, linked(broker) as (link, recorded):
        link.subscribe([ALL])
        await wait_until(lambda: link.state is LinkState.READY, "ready")
        assert recorded.changes == ["ready"]
        assert broker.subscribed == [ALL]
        link.publisher.send(ALL + b"x")
        await wait_until(lambda: recorded.messages, "the message")
        assert recorded.messages == [(7, ALL, b"x")]


async def test_not_ready_while_the_broker_does_not_take_everything():
    with running_broker(takes_all=False) as broker, linked(broker) as (link, _):
        barrier = SubscribeBarrier([7])
        link.subscribe([ALL])
        await wait_until(lambda: broker.subscribed, "the subscription")
        assert link.state is LinkState.CONNECTING
        link.sync(barrier)
        assert barrier.is_done


async def test_unanswered_question_is_asked_again_with_another_id():
    with running_broker(answers=False) as broker, linked(broker) as (link, recorded):
        await wait_until(lambda: len(broker.asked) >= 2, "asked twice")
        assert link.state is LinkState.SYNCING
        assert broker.asked[0] != broker.asked[1]
        broker.answers = True
        await wait_until(lambda: recorded.changes == ["ready"], "ready")


async def test_broker_that_never_answers_is_taken_for_dead_and_nobody_waits_for_it():
    with running_broker() as broker, linked(broker, silent_after_s=0.5) as (link, recorded):
        await wait_until(lambda: recorded.changes == ["ready"], "ready")
        broker.answers = False
        barrier = SubscribeBarrier([7])
        link.sync(barrier)
        await asyncio.wait_for(waiting(barrier), 20)
        assert recorded.changes == ["ready", "lost"]
        broker.answers = True
        await wait_until(lambda: recorded.changes == ["ready", "lost", "ready"], "ready again")


async def test_many_barriers_share_questions():
    with running_broker() as broker, linked(broker) as (link, recorded):
        await wait_until(lambda: recorded.changes == ["ready"], "ready")
        before = len(broker.asked)
        waiters = []
        for number in range(200):
            link.subscribe([b"zmqio/r//\0%d\0" % number])
            barrier = SubscribeBarrier([7])
            link.sync(barrier)
            waiters.append(waiting(barrier))
        await asyncio.wait_for(asyncio.gather(*waiters), 20)
        assert len(broker.asked) - before == 2
        assert len(broker.subscribed) == 200


async def test_broker_restart_is_lost_then_ready_and_subscriptions_are_applied_first():
    with running_broker() as broker, linked(broker) as (link, recorded):
        link.subscribe([ALL])
        await wait_until(lambda: recorded.changes == ["ready"], "ready")
        broker.stop()
        await wait_until(lambda: recorded.changes == ["ready", "lost"], "lost")
        broker.subscribed.clear()
        broker.start()
        await wait_until(lambda: recorded.changes == ["ready", "lost", "ready"], "ready again")
        assert broker.subscribed == [ALL]
        link.publisher.send(ALL + b"again")
        await wait_until(lambda: recorded.messages == [(7, ALL, b"again")], "the message")


async def test_loss_releases_barriers_that_wait():
    with running_broker() as broker, linked(broker) as (link, recorded):
        await wait_until(lambda: recorded.changes == ["ready"], "ready")
        broker.answers = False
        barriers = [SubscribeBarrier([7]), SubscribeBarrier([7])]
        for barrier in barriers:
            link.sync(barrier)
        broker.stop()
        await wait_until(lambda: all(barrier.is_done for barrier in barriers), "released")


async def test_malformed_acknowledgement_is_rubbish():
    with running_broker() as broker, linked(broker) as (link, recorded):
        link.subscribe([b"\xff"])
        await wait_until(lambda: recorded.changes == ["ready"], "ready")
        link.publisher.send(b"\xffsync-short")
        await wait_until(lambda: recorded.rubbish, "rubbish")
        assert recorded.rubbish == [(7, "a malformed acknowledgement")]
        assert link.state is LinkState.READY


async def told(lines: list, event: str, reason: str) -> None:
    """Wait for a line of that event with that reason."""
    await wait_until(lambda: any(line["event"] == event and line["reason"] == reason for line in lines), reason)


@pytest.fixture
def often_reminded(monkeypatch):
    monkeypatch.setattr(link_log, "FIRST_REMINDER_S", 0.05)
    monkeypatch.setattr(link_log, "REMINDER_S", 0.05)


@pytest.mark.usefixtures("often_reminded")
async def test_log_tells_why_a_broker_is_lost_and_cannot_be_reached():
    with structlog.testing.capture_logs() as lines, running_broker() as broker, linked(broker) as (_, recorded):
        await wait_until(lambda: recorded.changes == ["ready"], "ready")
        broker.stop()
        await told(lines, "bus_unreachable", "Connection refused")
        (lost,) = [line["reason"] for line in lines if line["event"] == "bus_lost"]
        assert lost in ("it has closed the connection", "Connection reset by peer")


@pytest.mark.usefixtures("often_reminded")
@pytest.mark.parametrize(
    ("lacks", "reason"),
    [
        ({"takes_all": False}, "it is connected and takes no messages yet"),
        ({"answers": False}, "it is connected and acknowledges no subscription"),
    ],
)
async def test_log_tells_what_a_connected_broker_does_not_do(lacks, reason):
    with structlog.testing.capture_logs() as lines, running_broker(**lacks) as broker, linked(broker):
        await told(lines, "bus_unreachable", reason)
