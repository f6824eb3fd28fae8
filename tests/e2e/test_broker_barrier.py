"""The subscribe barrier of a real broker: acknowledged subscriptions are in force; forged ones confirm nothing."""

import time
from collections.abc import Iterator

import pytest
import zmq

from tests.support.broker import BrokerProcess
from tests.support.broker_peers import Context, barrier, connected, new_sync_topic
from tests.support.timing import LIMIT_S

SUBSCRIPTIONS = 5_000
TRIALS = 300
PROBE = b"probe"


@pytest.fixture
def process() -> Iterator[BrokerProcess]:
    with BrokerProcess() as started:
        yield started


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq.Context() as made:
        yield made


def rooms() -> list[bytes]:
    return [b"zmqio/r//\0room-%d\0" % number for number in range(SUBSCRIPTIONS)]


def expect_every_room(publisher: zmq.Socket[bytes], subscriber: zmq.Socket[bytes]) -> None:
    for room in rooms():
        publisher.send(room)
    received: list[bytes] = []
    while len(received) < SUBSCRIPTIONS:
        frame = subscriber.recv()
        if frame != PROBE:
            received.append(frame)
    assert received == rooms()


def wait_for_path(publisher: zmq.Socket[bytes], subscriber: zmq.Socket[bytes]) -> None:
    """A publisher's subscriptions outlive its connection, so only a message proves that it has reconnected."""
    subscriber.subscribe(PROBE)
    ends_at = time.monotonic() + LIMIT_S
    while time.monotonic() < ends_at:
        publisher.send(PROBE)
        if subscriber.poll(10):
            return
    raise AssertionError("the publisher has not come back")


def test_all_of_5000_subscriptions_apply_before_and_after_a_restart(
    process: BrokerProcess, context: Context
) -> None:
    """With a limit on the queue of the barrier's inproc socket or of the SUB, those beyond 1,000 are lost."""
    with (
        connected(context, zmq.XPUB, process.endpoint("publish")) as publisher,
        connected(context, zmq.SUB, process.endpoint("subscribe")) as subscriber,
    ):
        assert publisher.recv() == b"\x01"
        for room in rooms():
            subscriber.subscribe(room)
        assert barrier(subscriber) == process.epoch
        expect_every_room(publisher, subscriber)
        process.restart()
        assert barrier(subscriber) == process.epoch
        wait_for_path(publisher, subscriber)
        expect_every_room(publisher, subscriber)


def test_publisher_that_connects_later_is_first_subscribed_to_everything(
    process: BrokerProcess, context: Context
) -> None:
    """The queue of subscriptions for a publisher has a limit, so those behind this one may be lost."""
    with connected(context, zmq.SUB, process.endpoint("subscribe")) as subscriber:
        for room in rooms():
            subscriber.subscribe(room)
        barrier(subscriber)
        with connected(context, zmq.XPUB, process.endpoint("publish")) as publisher:
            assert publisher.recv() == b"\x01"
            expect_every_room(publisher, subscriber)


def test_no_message_sent_after_the_acknowledgement_is_lost(process: BrokerProcess, context: Context) -> None:
    with connected(context, zmq.XPUB, process.endpoint("publish")) as publisher:
        assert publisher.recv() == b"\x01"
        for trial in range(TRIALS):
            with connected(context, zmq.SUB, process.endpoint("subscribe")) as subscriber:
                topic = b"trial-%d\0" % trial
                subscriber.subscribe(topic)
                assert barrier(subscriber) == process.epoch
                publisher.send(topic)
                assert subscriber.recv() == topic


def test_message_that_looks_like_a_subscription_is_not_acknowledged(
    process: BrokerProcess, context: Context
) -> None:
    with (
        connected(context, zmq.SUB, process.endpoint("subscribe")) as subscriber,
        connected(context, zmq.XPUB, process.endpoint("publish")) as sender,
    ):
        subscriber.subscribe(b"")
        barrier(subscriber)
        assert sender.recv() == b"\x01"
        acknowledged = process.statistics()["sync_acks"]
        forged = [b"\x01" + new_sync_topic(), b"\x00" + new_sync_topic(), b"\x01", b"\x00", b"\x01\xff", b"last"]
        for frame in forged:
            sender.send(frame)
        assert [subscriber.recv() for _ in forged] == forged
        topic = new_sync_topic()
        subscriber.subscribe(topic)
        assert subscriber.recv() == topic + process.epoch
        assert process.statistics()["sync_acks"] == acknowledged + 1


def test_messages_that_look_like_cancellations_cancel_no_subscription(
    process: BrokerProcess, context: Context
) -> None:
    with (
        connected(context, zmq.SUB, process.endpoint("subscribe")) as subscriber,
        connected(context, zmq.XPUB, process.endpoint("publish")) as sender,
    ):
        subscriber.subscribe(b"topic")
        barrier(subscriber)
        assert sender.recv() == b"\x01"
        for frame in (b"\x00topic", b"\x00", b"topic"):
            sender.send(frame)
        assert subscriber.recv() == b"topic"


def test_message_in_two_frames_arrives_in_two(process: BrokerProcess, context: Context) -> None:
    with (
        connected(context, zmq.SUB, process.endpoint("subscribe")) as subscriber,
        connected(context, zmq.XPUB, process.endpoint("publish")) as sender,
    ):
        subscriber.subscribe(b"topic")
        barrier(subscriber)
        assert sender.recv() == b"\x01"
        sender.send_multipart([b"topic", b"body"])
        assert subscriber.recv_multipart() == [b"topic", b"body"]
