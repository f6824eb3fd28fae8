from collections.abc import Iterator

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from zmqio_broker.ingest import (
    FLUSH_PREFIX,
    KNOWN_TOKENS,
    MAX_ROOM_TOPIC_BYTES,
    IngestFilter,
    RefusedError,
    check_request,
)
from zmqio_broker.keys import KeyRing
from zmqio_broker.rejections import Rejections

from tests.support.timing import LIMIT_S

ALL: frozenset[str] = frozenset()
TOPICS = [b"shop/n//\0", b"shop/n//chat\0", b"shop/r//\0room\0", b"shop/s/sid\0/\0", b"shop/r//\0a/b\0"]
BODIES = [b"{}", b'{"event": "x"}', b"\x80", b"\x8f", b"\xde\0\0", b"\xdf\0\0\0\0"]


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("body", BODIES)
def test_requests_pass(topic: bytes, body: bytes) -> None:
    check_request(topic + body, ALL)
    check_request(topic + body, frozenset({"shop"}))
    with pytest.raises(RefusedError, match="may not publish to the prefix b'shop'"):
        check_request(topic + body, frozenset({"news"}))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{}",
        b"\x01shop/n/",
        b"\xffsync-" + bytes(24),
        b"shop/a/\0{}",
        b"shop/u/node\0{}",
        b"shop/n/ without an end {}",
        b"shop/r//\0only one name{}",
        b"/n//\0{}",
        b"sh\0op/n//\0{}",
        b"shop/x//\0{}",
        *[
            TOPICS[0] + body
            for body in (b"", b"[]", b"\x90", b"\x95\x01\x03", b"\xdc\0\0", b"\xc1", b" {}", b"\x7f")
        ],
    ],
)
def test_everything_else_is_refused(frame: bytes) -> None:
    with pytest.raises(RefusedError):
        check_request(frame, ALL)


def test_topic_of_a_room_that_no_node_subscribes_to_is_refused() -> None:
    longest = b"shop/r//\0" + b"x" * (MAX_ROOM_TOPIC_BYTES - 10) + b"\0"
    check_request(longest + b"{}", ALL)
    with pytest.raises(RefusedError, match="use the topic of the namespace"):
        check_request(b"shop/r//\0x" + longest[9:] + b"{}", ALL)
    check_request(b"shop/n/" + b"x" * 1_000 + b"\0{}", ALL)


@given(st.binary(max_size=200))
def test_any_bytes_are_passed_or_refused(frame: bytes) -> None:
    try:
        check_request(frame, ALL)
    except RefusedError as error:
        assert len(str(error)) < 300


@pytest.fixture
def ingest() -> Iterator[tuple[IngestFilter, zmq.Socket[bytes], Rejections]]:
    """A filter, the subscriber behind it, and its rejections."""
    rejections = Rejections()
    with (
        zmq.Context() as context,
        context.socket(zmq.PULL) as pull,
        context.socket(zmq.XPUB) as publisher,
        context.socket(zmq.SUB) as sub,
    ):
        publisher.bind("inproc://out")
        sub.setsockopt(zmq.RCVTIMEO, int(LIMIT_S * 1000))
        sub.connect("inproc://out")
        sub.subscribe(b"")
        assert publisher.recv() == b"\x01"
        yield IngestFilter(pull, publisher, rejections), sub, rejections


def frames(*parts: bytes) -> list[zmq.Frame]:
    return [zmq.Frame(part) for part in parts]


def test_what_passes_and_what_is_refused_is_counted(
    ingest: tuple[IngestFilter, zmq.Socket[bytes], Rejections],
) -> None:
    filter_, sub, rejections = ingest
    for parts in ([b"a/n//\0{}"], [b"a/n//\0", b"{}"], [b"a/a/\0{}"], [FLUSH_PREFIX + b"short"]):
        filter_.handle(frames(*parts))
    assert sub.recv() == b"a/n//\0{}"
    assert (filter_.frames, filter_.bytes, filter_.refused) == (1, 8, 3)
    assert sum(rejections.take(0.0).values()) == 3


def test_flush_tokens_are_remembered_up_to_a_limit_and_not_passed_on(
    ingest: tuple[IngestFilter, zmq.Socket[bytes], Rejections],
) -> None:
    filter_, sub, _ = ingest
    tokens = [number.to_bytes(16, "big") for number in range(KNOWN_TOKENS + 1)]
    for token in tokens:
        assert not filter_.has_flushed(token)
        filter_.handle(frames(FLUSH_PREFIX + token))
    assert filter_.has_flushed(tokens[-1])
    assert filter_.has_flushed(tokens[1])
    assert not filter_.has_flushed(tokens[0])
    assert not filter_.has_flushed([])
    assert not sub.poll(0)


def test_sender_without_a_key_is_refused_where_keys_are_required(
    ingest: tuple[IngestFilter, zmq.Socket[bytes], Rejections],
) -> None:
    filter_, sub, rejections = ingest
    filter_.ring = KeyRing()
    filter_.handle(frames(b"a/n//\0{}"))
    assert not sub.poll(0)
    (rejection,) = rejections.take(0.0)
    assert "was removed" in rejection.reason
