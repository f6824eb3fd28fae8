import contextlib
import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol import strategies, vectors
from zmqio.exceptions import PacketError, PublishRequestError
from zmqio.protocol.publish import BodyKind, Operation, PublishRequest, classify, decode_request, encode_request

DISCONNECT = Operation.DISCONNECT


@pytest.mark.parametrize("vector", vectors.load("publish_requests"), ids=lambda vector: repr(vector["json"]))
def test_golden_requests_in_both_directions(vector):
    request = decode_request(vector["msgpack"])
    assert encode_request(request) == vector["msgpack"]
    assert decode_request(msgpack.packb(vector["request"])) == request
    if vector["json"] is not None:
        assert decode_request(vector["json"].encode()) == request
        assert json.loads(vector["json"]) == vector["request"]


@pytest.mark.parametrize("vector", vectors.load("bad_publish_requests"), ids=lambda vector: vector["json"])
def test_malformed_request_is_refused(vector):
    with pytest.raises(PublishRequestError):
        decode_request(vector["json"].encode("utf-8", "surrogatepass"))


def test_request_has_its_fields():
    body = (
        b'{"event": "news", "args": [1, {"a": 2}], "rooms": ["x"], "except": ["y"], "namespace": "/chat", '
        b'"volatile": true, "id": "i", "source": "s", "n": 4}'
    )
    assert decode_request(body) == PublishRequest(
        Operation.EMIT, "/chat", ("x",), ("y",), "news", (1, {"a": 2}), volatile=True, id="i", source="s", n=4
    )


def test_join_names_the_rooms_to_join():
    assert decode_request(b'{"op": "join", "rooms": ["lobby"], "names": ["a"]}') == PublishRequest(
        Operation.JOIN, rooms=("lobby",), names=("a",)
    )


def test_binary_arguments_round_trip_in_msgpack():
    request = PublishRequest(event="news", args=(b"\x01", 2**70))
    assert decode_request(encode_request(request)) == request


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"event": "a", "rooms": "lobby"},
            "field 'rooms' has a value of type 'str'; it must be a list of strings",
        ),
        ({"event": "a", "rooms": [1]}, "field 'rooms' has a value of type 'list'; it must be a list of strings"),
        ({"event": "a", "rooms": []}, "field 'rooms' is an empty list; name a room or omit the field"),
        (
            {"event": "a", "room": "lobby"},
            "field 'room' is unknown for 'emit'; known fields: args, event, except, id",
        ),
        ({"op": "join", "names": ["x"], "event": "a"}, "field 'event' is unknown for 'join'"),
        ({"args": []}, "field 'event' is missing"),
        ({"op": "leave"}, "field 'names' is missing: list the rooms to leave"),
        ({"event": None}, "field 'event' has a value of type 'NoneType'; it must be a string"),
        ({"event": "connect"}, "which is reserved by Socket.IO"),
        ({"event": "a", "args": 5}, "field 'args' has a value of type 'int'; it must be a list of arguments"),
        ({"event": "a", "namespace": "chat"}, "field 'namespace': namespace 'chat' must begin with '/'"),
        ({"event": "a", "except": ["a\0b"]}, "field 'except': .*NUL"),
        ({"op": "dance"}, "field 'op' has a value of type 'str'; it must be one of 'emit', 'join'"),
        ({"op": ["join"]}, "field 'op' has a value of type 'list'"),
        (
            {"event": "a", "id": 5},
            "field 'id' has a value of type 'int'; it must be a string of 1 to 128 characters",
        ),
        ({"event": "a", "id": "x" * 129}, "field 'id'"),
        ({"event": "a", "n": 1}, "'source' and 'n' belong together"),
        (
            {"event": "a", "source": "s", "n": True},
            "field 'n' has a value of type 'bool'; it must be an integer",
        ),
        ({"op": "disconnect", "close": 1}, "field 'close' has a value of type 'int'; it must be true or false"),
    ],
)
def test_error_names_the_field_and_the_expected_type(fields, text):
    for body in (msgpack.packb(fields), json.dumps(fields).encode()):
        with pytest.raises(PublishRequestError, match=text):
            decode_request(body)


@pytest.mark.parametrize(
    "body",
    [b"{\xff}", b'{"event": "a"} x', b"\x81", b"\x80\x80", b"\x81\x01\x02", b"{" * 100_000, b"\x81\xa1a" * 50_000],
)
def test_body_that_is_not_one_complete_map_is_refused(body):
    with pytest.raises(PublishRequestError):
        decode_request(body)


def test_request_that_nodes_would_refuse_is_not_encoded():
    with pytest.raises(PublishRequestError, match="'event' is missing"):
        encode_request(PublishRequest())
    with pytest.raises(PublishRequestError, match="field 'names' is unknown for 'disconnect'"):
        encode_request(PublishRequest(op=DISCONNECT, names=("a",)))
    with pytest.raises(PacketError, match="type 'set' cannot be sent"):
        encode_request(PublishRequest(event="a", args=({1},)))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (msgpack.packb([1]), BodyKind.ENVELOPE),
        (msgpack.packb([1] * 20), BodyKind.ENVELOPE),
        (msgpack.packb([1] * 70_000), BodyKind.ENVELOPE),
        (msgpack.packb({}), BodyKind.REQUEST),
        (msgpack.packb(dict.fromkeys(map(str, range(20)))), BodyKind.REQUEST),
        (msgpack.packb(dict.fromkeys(map(str, range(70_000)))), BodyKind.REQUEST),
        (b"{}", BodyKind.REQUEST),
        (b"", BodyKind.MALFORMED),
        (b"[1]", BodyKind.MALFORMED),
        (b" {}", BodyKind.MALFORMED),
        (b"\xff", BodyKind.MALFORMED),
        (b"\x00", BodyKind.MALFORMED),
    ],
)
def test_first_byte_decides_the_kind_of_a_body(body, kind):
    assert classify(body) is kind


some_rooms = st.lists(strategies.rooms, max_size=3).map(tuple)
names = st.lists(strategies.rooms, min_size=1, max_size=3).map(tuple)
labels = st.text(min_size=1, max_size=128)
senders = st.just((None, None)) | st.tuples(labels, strategies.counters)


def requests(op, **own):
    return st.builds(
        lambda sender, fields: PublishRequest(op=op, source=sender[0], n=sender[1], **fields),
        senders,
        st.fixed_dictionaries(
            {
                "namespace": strategies.namespaces,
                "rooms": st.none() | names,
                "except_": some_rooms,
                "id": st.none() | labels,
                **own,
            }
        ),
    )


all_requests = st.one_of(
    requests(
        Operation.EMIT,
        event=strategies.event_names,
        args=st.lists(strategies.values, max_size=3).map(tuple),
        volatile=st.booleans(),
    ),
    requests(Operation.JOIN, names=names),
    requests(Operation.LEAVE, names=names),
    requests(DISCONNECT, close=st.booleans()),
)


@given(all_requests)
def test_requests_round_trip(request):
    assert decode_request(encode_request(request)) == request


field_names = st.sampled_from(
    ["event", "args", "rooms", "except", "namespace", "op", "id", "source", "n", "names", "close", "volatile"]
)
field_values = strategies.json_values | st.sampled_from(["emit", "join", ["a"], "/", True, 1])


@given(st.binary() | st.dictionaries(field_names, field_values).map(lambda fields: json.dumps(fields).encode()))
def test_arbitrary_input_raises_only_publish_request_errors(body):
    with contextlib.suppress(PublishRequestError):
        decode_request(body)
