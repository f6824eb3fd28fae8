"""Tests of `zmqio.emitter.frames`."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from zmqio.emitter.frames import RequestFrames
from zmqio.exceptions import MessageTooLargeError, PacketError, PublishRequestError
from zmqio.protocol.publish import Operation, PublishRequest, decode_request
from zmqio.protocol.topic import covers, split

LIMIT_BYTES = 1_000


def frames() -> RequestFrames:
    return RequestFrames("zmqio", LIMIT_BYTES)


@pytest.mark.parametrize(
    ("rooms", "topic"),
    [
        (None, b"zmqio/n//chat\0"),
        (("lobby",), b"zmqio/r//chat\0lobby\0"),
        (("a", "b"), b"zmqio/n//chat\0"),
        (("abcd0123456789abcdef",), b"zmqio/s/abcd0123456789abcdef\0/chat\0"),
    ],
)
def test_topic_is_that_of_one_room_or_of_the_namespace(rooms: tuple[str, ...] | None, topic: bytes) -> None:
    made, body = split(frames().make(PublishRequest(event="news", namespace="/chat", rooms=rooms)))
    assert made == topic
    assert covers(made, "/chat", decode_request(body).rooms or ())


def test_empty_selection_is_checked_and_makes_no_frame() -> None:
    nobody = PublishRequest(event="news", rooms=())
    assert frames().make(nobody) is None
    with pytest.raises(PublishRequestError, match="reserved"):
        frames().make(replace(nobody, event="connect"))


@pytest.mark.parametrize("rooms", [None, ()])
def test_more_binary_values_than_nodes_can_send_are_refused(rooms: tuple[str, ...] | None) -> None:
    args = ([b"x"] * 5, {"a": [bytearray(1), memoryview(b"y")], "b": {"c": b""}}, b"", b"", "text", 1)
    frames().make(PublishRequest(event="ten", args=args, rooms=rooms))
    with pytest.raises(PublishRequestError, match="11 binary values; nodes can send at most 10"):
        frames().make(PublishRequest(event="eleven", args=(*args, b""), rooms=rooms))


def test_tuple_as_the_only_value_is_noted_once() -> None:
    mine = frames()
    with capture_logs() as logs:
        mine.make(PublishRequest(event="several", args=(1, (2, 3))))
        for _ in range(2):
            mine.make(PublishRequest(event="pair", args=((1, 2),)))
    assert [(line["event"], line["event_name"]) for line in logs] == [("tuple_sent_as_list", "pair")]


def test_event_after_a_join_uses_a_topic_that_the_joining_nodes_subscribe_to_already() -> None:
    made = frames()
    made.make(PublishRequest(op=Operation.JOIN, names=("new",)))
    emit = PublishRequest(event="x", rooms=("new",))
    assert made.make(emit).startswith(b"zmqio/n//\0")
    assert made.make(replace(emit, rooms=("elsewhere",))).startswith(b"zmqio/r//\0elsewhere\0")
    assert made.make(replace(emit, namespace="/chat")).startswith(b"zmqio/r//chat\0new\0")


def test_every_topic_begins_with_the_prefix() -> None:
    mine = RequestFrames("mine", LIMIT_BYTES)
    assert mine.make(PublishRequest(event="news")).startswith(b"mine/n//\0")


def test_requests_have_a_random_id_and_an_increasing_number() -> None:
    mine = frames()
    made = [decode_request(split(mine.make(PublishRequest(event="news")))[1]) for _ in range(100)]
    assert len({request.id for request in made}) == 100
    assert {request.source for request in made} == {mine.source}
    assert [request.n for request in made] == list(range(1, 101))


def test_every_emitter_has_its_own_source() -> None:
    assert len({frames().source for _ in range(100)}) == 100


def test_other_fields_of_a_request_are_sent_unchanged() -> None:
    request = PublishRequest(event="news", args=(b"\0\xff", "é", [None]), except_=("x",), volatile=True)
    made = decode_request(split(frames().make(request))[1])
    assert (made.event, made.args, made.except_, made.volatile) == ("news", (b"\0\xff", "é", [None]), ("x",), True)


def test_frame_over_the_limit_is_an_error_and_frame_at_the_limit_is_not() -> None:
    room_left = LIMIT_BYTES - len(frames().make(PublishRequest(event="news", args=(b"x" * 256,)))) + 256
    assert len(frames().make(PublishRequest(event="news", args=(b"x" * room_left,)))) == LIMIT_BYTES
    with pytest.raises(MessageTooLargeError) as caught:
        frames().make(PublishRequest(event="news", args=(b"x" * (room_left + 1),)))
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (LIMIT_BYTES + 1, LIMIT_BYTES)


def test_request_that_cannot_be_encoded_is_a_typed_error() -> None:
    with pytest.raises(PacketError, match="object"):
        frames().make(PublishRequest(event="news", args=(object(),)))
    with pytest.raises(PublishRequestError, match="disconnect"):
        frames().make(PublishRequest(event="disconnect"))
