from collections.abc import Iterator

import pytest
import structlog
import zmq
from hypothesis import given
from hypothesis import strategies as st
from zmqio_broker.barrier import Acknowledger, sync_topic

TOPIC = b"\xffsync-" + bytes(range(16))
EPOCH = b"epoch-8b"


def test_subscription_to_a_sync_topic_is_recognised() -> None:
    assert sync_topic(b"\x01" + TOPIC) == TOPIC


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x01",
        b"\x01zmqio/a/\0",
        b"\x00" + TOPIC,
        b"\x01" + TOPIC[:-1],
        b"\x01" + TOPIC + b"x",
        b"\x01\xffsynk-" + bytes(16),
        TOPIC,
    ],
)
def test_other_frames_are_not_sync_topics(frame: bytes) -> None:
    assert sync_topic(frame) is None


@given(st.binary(max_size=64))
def test_random_bytes_are_a_sync_topic_only_if_they_have_its_form(frame: bytes) -> None:
    assert sync_topic(frame) == (frame[1:] if frame.startswith(b"\x01\xffsync-") and len(frame) == 23 else None)


@pytest.fixture
def pair() -> Iterator[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]:
    """The acknowledger's socket and the XSUB that it publishes to, which subscribes to everything."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as publisher, context.socket(zmq.XSUB) as upstream:
        upstream.bind("inproc://upstream")
        publisher.connect("inproc://upstream")
        upstream.send(b"\x01")
        assert publisher.recv() == b"\x01"
        yield publisher, upstream


def test_topics_are_counted(pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]) -> None:
    acknowledger = Acknowledger(pair[0], EPOCH)
    for frame in (b"\x01", b"\x01a", b"\x01b", b"\x01" + TOPIC, b"\x00a"):
        acknowledger.handle(frame)
    assert (acknowledger.topics, acknowledger.topic_bytes) == (2, 2 + 1 + len(TOPIC))


def test_acknowledgement_is_one_frame_of_topic_and_epoch(
    pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]],
) -> None:
    publisher, upstream = pair
    acknowledger = Acknowledger(publisher, EPOCH)
    acknowledger.handle(b"\x01" + TOPIC)
    assert upstream.recv_multipart() == [TOPIC + EPOCH]
    assert acknowledger.acknowledged == 1


def test_other_subscriptions_and_unsubscriptions_are_not_acknowledged(
    pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]],
) -> None:
    publisher, upstream = pair
    acknowledger = Acknowledger(publisher, EPOCH)
    for frame in (b"\x01zmqio/a/\0", b"\x00" + TOPIC, b"malformed"):
        acknowledger.handle(frame)
    acknowledger.handle(b"\x01" + TOPIC)
    assert upstream.recv_multipart() == [TOPIC + EPOCH]
    assert acknowledger.acknowledged == 1


def test_subscriptions_are_logged_at_debug_and_only_if_enabled(
    pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]],
) -> None:
    before = structlog.get_config()
    structlog.reset_defaults()  # an earlier test may have set a level above DEBUG
    try:
        with structlog.testing.capture_logs() as quiet:
            Acknowledger(pair[0], EPOCH).handle(b"\x01room")
        with structlog.testing.capture_logs() as logged:
            Acknowledger(pair[0], EPOCH, logs_subscriptions=True).handle(b"\x01room")
    finally:
        structlog.configure(**before)
    assert quiet == []
    assert [(line["event"], line["log_level"]) for line in logged] == [("subscription_added", "debug")]
