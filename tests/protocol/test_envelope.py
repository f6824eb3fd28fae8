import contextlib
import dataclasses

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol import strategies, vectors
from zmqio.exceptions import EnvelopeError, VersionError
from zmqio.ids import NodeId
from zmqio.protocol import messages as m
from zmqio.protocol import recovery_messages as v
from zmqio.protocol import relay_messages as r
from zmqio.protocol.envelope import decode, encode, peek_message_id
from zmqio.protocol.messages import Envelope, MessageId
from zmqio.protocol.packet import AckableFrames

MESSAGE_ID = MessageId(NodeId("abcdEFGHIJKLMNO"), 7, 3)
BROADCAST = [1, 3, "node", 7, 3, "/", ["a"], [], False, ["2[]"]]


def envelope_of(vector):
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in vector["fields"].items()}
    if vector["message"] == "AckedBroadcast":
        head, tail, attachments = fields["frames"]
        fields["frames"] = AckableFrames(head, tail, tuple(attachments))
    if vector["message"] == "ReplayAnswer":
        fields["lost"] = tuple(m.LostRow(topic, tuple(numbers), age) for topic, numbers, age in fields["lost"])
        fields["messages"] = tuple(m.ReplayedRow(*row) for row in fields["messages"])
        fields["newest"] = tuple(m.TopicRow(*row) for row in fields["newest"])
    message_id = MessageId(vector["node_id"], vector["n"], vector["previous"])
    make = next(getattr(module, vector["message"]) for module in (m, r, v) if hasattr(module, vector["message"]))
    return Envelope(message_id, make(**fields))


@pytest.mark.parametrize("vector", vectors.load("envelopes"), ids=lambda vector: vector["message"])
def test_golden_envelopes_in_both_directions(vector):
    assert encode(envelope_of(vector)) == vector["body"]
    assert decode(vector["body"]) == envelope_of(vector)


def test_every_message_has_a_golden_vector():
    assert {vector["message"] for vector in vectors.load("envelopes")} == {make.__name__ for make in MESSAGES}


def test_text_and_binary_frames_are_distinguished():
    for frames in (("2[]",), (b"2[]",), ("51-[]", b"x")):
        assert (
            decode(encode(Envelope(MESSAGE_ID, m.BroadcastMessage("/", (), (), False, frames)))).message.frames
            == frames
        )


def test_error_names_another_version():
    with pytest.raises(VersionError, match="wire version 2 is not supported") as caught:
        decode(msgpack.packb([2, "whatever", None, {}, []]))
    assert (caught.value.version, caught.value.supported) == (2, 1)


def test_fields_that_an_earlier_release_did_not_send_have_their_defaults():
    body = msgpack.packb([1, 1, "n", 7, None, False, 5.0, False, "host", 4711, 3])
    assert decode(body).message == m.Heartbeat(False, 5.0, False, "host", 4711, 3, "")


def test_fields_of_a_later_release_are_ignored():
    assert decode(msgpack.packb([*BROADCAST, {"new": 1}, None])) == decode(msgpack.packb(BROADCAST))


def test_seconds_may_be_an_integer():
    body = msgpack.packb([1, 1, "node", 0, None, True, 1_700_000_000, False, "host", 1, 0])
    assert type(decode(body).message.started_at) is float


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        (0, True, "version"),
        (0, "1", "version"),
        (1, 99, "message type 99 is unknown"),
        (1, "3", "unknown"),
        (1, True, "unknown"),
        (1, [], "unknown"),
        (2, "", "node_id"),
        (2, "x" * 65, "node_id"),
        (2, "a\0", "node_id"),
        (2, b"node", "node_id"),
        (3, -1, "n must"),
        (3, None, "n must"),
        (3, True, "n must"),
        (3, 2**63, "n must"),
        (4, "3", "previous must"),
        (4, 1.0, "previous must"),
        (5, b"/", "BroadcastMessage.namespace must be a string"),
        (5, "/\0", "BroadcastMessage.namespace"),
        (6, "lobby", "BroadcastMessage.rooms must be a list of strings"),
        (6, [1], "BroadcastMessage.rooms"),
        (6, [b"a"], "BroadcastMessage.rooms"),
        (6, ["a\0"], "BroadcastMessage.rooms"),
        (6, {"a": 1}, "BroadcastMessage.rooms"),
        (6, None, "BroadcastMessage.rooms"),
        (7, [None], "BroadcastMessage.except_"),
        (8, 1, "BroadcastMessage.volatile must be true or false"),
        (9, [], "BroadcastMessage.frames must be a list"),
        (9, "2[]", "BroadcastMessage.frames"),
        (9, [1], "BroadcastMessage.frames"),
        (9, ["2[]", "text"], "BroadcastMessage.frames"),
    ],
)
def test_error_names_the_invalid_field(place, value, text):
    fields = list(BROADCAST)
    fields[place] = value
    with pytest.raises(EnvelopeError, match=text):
        decode(msgpack.packb(fields))


@pytest.mark.parametrize(
    "frames",
    [None, [], ["2", "[]"], ["2", b"[]", []], [1, 1, []], ["2", "[]", ["text"]], ["2", "[]", None]],
)
def test_invalid_head_and_tail_are_refused(frames):
    with pytest.raises(EnvelopeError, match=r"AckedBroadcast\.frames must be a list of head, tail"):
        decode(msgpack.packb([1, 4, "node", 7, 3, 1, "/", [], [], 5.0, frames]))


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "5", True, None])
def test_invalid_time_is_refused(seconds):
    with pytest.raises(EnvelopeError, match=r"AckedBroadcast\.timeout_s"):
        decode(msgpack.packb([1, 4, "node", 7, 3, 1, "/", [], [], seconds, ["2", "[]", []]]))


@pytest.mark.parametrize(
    ("frames", "text"), [(["a", 1], "strings and binary"), ("a", "strings"), (None, "strings")]
)
def test_stream_frames_are_strings_and_binary_only(frames, text):
    with pytest.raises(EnvelopeError, match=rf"StreamData\.frames must be a list of {text}"):
        decode(msgpack.packb([1, 26, "node", 7, 3, 1, True, 0, frames]))


@pytest.mark.parametrize("headers", [["origin"], ["a", "b", "c"], [1, 2], {"a": "b"}, ["a", "b\0"]])
def test_headers_are_alternating_names_and_values(headers):
    with pytest.raises(EnvelopeError, match=r"HttpResponse\.headers must be a list"):
        decode(msgpack.packb([1, 21, "node", 7, 3, 1, 200, headers, b""]))


@pytest.mark.parametrize("count", range(len(BROADCAST)))
def test_missing_field_is_refused(count):
    with pytest.raises(EnvelopeError):
        decode(msgpack.packb(BROADCAST[:count]))


@pytest.mark.parametrize(
    "body",
    [b"", b"\xc1", b"\x91" * 100_000, msgpack.packb(BROADCAST) + b"x", b"{}", b"\x80", b"\xdd\xff\xff\xff\xff"],
)
def test_body_that_is_not_an_envelope_is_refused(body):
    with pytest.raises(EnvelopeError):
        decode(body)


@pytest.mark.parametrize(
    ("message_id", "message", "text"),
    [
        (MessageId(NodeId(""), 1, 0), m.Goodbye(""), "node_id"),
        (MessageId(NodeId("n"), -1, 0), m.Goodbye(""), "n must"),
        (MESSAGE_ID, m.BroadcastMessage("/", ("a\0",), (), False, ("2",)), "BroadcastMessage.rooms"),
        (MESSAGE_ID, m.JoinRooms("/", (), (), ("\ud800",)), "lone surrogate"),
        (MESSAGE_ID, m.AckCount(-1, 0), "AckCount.request_id"),
        (MESSAGE_ID, m.BroadcastMessage("/", (), (), False, ()), "BroadcastMessage.frames"),
    ],
)
def test_message_that_other_nodes_would_refuse_is_not_encoded(message_id, message, text):
    with pytest.raises(EnvelopeError, match=text):
        encode(Envelope(message_id, message))


targets = st.tuples(
    strategies.names,
    st.lists(strategies.rooms, max_size=3).map(tuple),
    st.lists(strategies.rooms, max_size=3).map(tuple),
)
name_lists = st.lists(strategies.names, max_size=3).map(tuple)
attachments = st.lists(st.binary(max_size=9), max_size=3).map(tuple)
utf8 = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
frames = st.builds(lambda head, rest: (head, *rest), utf8 | st.binary(), attachments)
ackable = st.builds(AckableFrames, utf8, utf8, attachments) | st.builds(
    AckableFrames, st.binary(), st.binary(), attachments
)
seconds = st.floats(min_value=0, allow_infinity=False)
ids, flags, raw = strategies.counters, st.booleans(), st.binary(max_size=20)

lost_rows = st.lists(st.builds(m.LostRow, raw, st.lists(ids, max_size=3).map(tuple), seconds), max_size=3).map(
    tuple
)
topic_rows = st.lists(st.builds(m.TopicRow, raw, ids, seconds), max_size=3).map(tuple)
replayed_rows = st.lists(st.builds(m.ReplayedRow, raw, raw, seconds), max_size=3).map(tuple)
pairs = st.lists(st.tuples(strategies.names, strategies.names), max_size=2).map(lambda items: sum(items, ()))
head = (strategies.names, pairs, strategies.names, flags)


def after_target(make, *rest):
    return st.builds(lambda target, values: make(*target, *values), targets, st.tuples(*rest))


traceparents = strategies.names.map(lambda text: text[:128])

MESSAGES = {
    m.Heartbeat: st.builds(
        m.Heartbeat, flags, seconds, flags, strategies.names, ids, ids, *[strategies.names] * 2, flags
    ),
    m.Goodbye: st.builds(m.Goodbye, strategies.names),
    m.BroadcastMessage: after_target(m.BroadcastMessage, flags, frames),
    m.TracedBroadcast: after_target(m.TracedBroadcast, flags, frames, traceparents),
    m.AckedBroadcast: st.builds(
        lambda number, target, limit, packet: m.AckedBroadcast(number, *target, limit, packet),
        ids,
        targets,
        seconds,
        ackable,
    ),
    m.JoinRooms: after_target(m.JoinRooms, name_lists),
    m.LeaveRooms: after_target(m.LeaveRooms, name_lists),
    m.DisconnectSockets: after_target(m.DisconnectSockets, flags),
    m.ServerSideEmit: st.builds(m.ServerSideEmit, strategies.names, raw, st.none() | ids),
    m.TracedServerSideEmit: st.builds(
        m.TracedServerSideEmit, strategies.names, raw, st.none() | ids, traceparents
    ),
    m.FetchSockets: st.builds(lambda number, target: m.FetchSockets(number, *target), ids, targets),
    m.FetchRooms: st.builds(m.FetchRooms, ids, strategies.names),
    m.FetchMetrics: st.builds(m.FetchMetrics, ids),
    m.Response: st.builds(m.Response, ids, raw, flags),
    m.AckCount: st.builds(m.AckCount, ids, ids),
    m.AckResponse: st.builds(m.AckResponse, ids, raw),
    m.ReplayRequest: st.builds(m.ReplayRequest, ids, ids, seconds, raw, flags),
    m.ReplayAnswer: st.builds(m.ReplayAnswer, ids, ids, flags, ids, lost_rows, replayed_rows, topic_rows),
    v.SessionRequest: st.builds(v.SessionRequest, ids, raw),
    v.MissedPacketsRequest: st.builds(v.MissedPacketsRequest, ids, raw),
    v.SessionHandover: st.builds(v.SessionHandover, raw),
    v.SessionCopies: st.builds(v.SessionCopies, flags, name_lists, raw),
    r.HttpRequest: st.builds(r.HttpRequest, ids, strategies.names, *head, raw, flags),
    r.HttpResponse: st.builds(r.HttpResponse, ids, ids, pairs, raw),
    r.HttpCancel: st.builds(r.HttpCancel, ids, flags),
    r.HttpDelivered: st.builds(r.HttpDelivered, ids),
    r.StreamOpen: st.builds(r.StreamOpen, ids, *head, ids),
    r.StreamAccept: st.builds(r.StreamAccept, ids, ids),
    r.StreamRefuse: st.builds(r.StreamRefuse, ids, ids, raw),
    r.StreamData: st.builds(r.StreamData, ids, flags, ids, st.lists(utf8 | raw, max_size=3).map(tuple)),
    r.StreamCredit: st.builds(r.StreamCredit, ids, flags, ids),
    r.StreamClose: st.builds(r.StreamClose, ids, flags, ids, strategies.names),
}
message_ids = st.builds(MessageId, strategies.names.filter(bool), ids, st.none() | ids)
envelopes = st.builds(Envelope, message_ids, st.one_of(*MESSAGES.values()))


@given(envelopes)
def test_envelopes_round_trip(envelope):
    assert decode(encode(envelope)) == envelope


@given(envelopes)
def test_message_id_is_read_without_decoding(envelope):
    message_id = envelope.id
    peeked = peek_message_id(encode(envelope))
    short = len(message_id.node_id.encode()) <= 31
    assert peeked == ((message_id.node_id.encode(), message_id.n) if short else None)


@given(st.binary(max_size=30))
def test_peeking_at_arbitrary_bytes_raises_nothing(body):
    peek_message_id(body)
    peek_message_id(b"\x95\x01\x03\xa1" + body)


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        (9, None, r"ReplayAnswer\.lost must be a list of rows"),
        (9, [[b"t", [1]]], r"ReplayAnswer\.lost"),
        (9, [[b"t", [-1], 0.5]], r"ReplayAnswer\.lost"),
        (9, [["t", [1], 0.5]], r"ReplayAnswer\.lost must be a list of \[topic, numbers, seconds\]"),
        (10, [[b"t", b"b", -1.0]], r"ReplayAnswer\.messages"),
        (10, [[b"t", "b", 1.0]], r"ReplayAnswer\.messages must be a list of \[topic, body, seconds\]"),
        (10, [b"tbs"], r"ReplayAnswer\.messages"),
        (11, [[b"t", -1, 1.0]], r"ReplayAnswer\.newest"),
        (11, [["t", 1, 1.0]], r"ReplayAnswer\.newest must be a list of \[topic, number, seconds\]"),
    ],
)
def test_error_names_the_invalid_rows_of_a_replay(place, value, text):
    fields = [1, 15, "node", 7, None, 1, 2, True, 0, [], [], []]
    decode(msgpack.packb(fields))
    fields[place] = value
    with pytest.raises(EnvelopeError, match=text):
        decode(msgpack.packb(fields))


def test_round_trip_covers_every_message():
    traced = {m.TracedBroadcast, m.TracedServerSideEmit}  # the same types with one more field
    assert len(MESSAGES.keys() - traced) == len(m.MessageType)
    assert all(dataclasses.is_dataclass(make) for make in MESSAGES)


@given(st.binary())
def test_arbitrary_input_raises_only_envelope_errors(body):
    with contextlib.suppress(EnvelopeError):
        decode(body)


wire_values = st.recursive(
    st.none() | st.booleans() | ids | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.integers(0, 30), st.lists(wire_values, max_size=10))
def test_arbitrary_fields_after_a_valid_head_raise_only_envelope_errors(kind, fields):
    with contextlib.suppress(EnvelopeError):
        decode(msgpack.packb([1, kind, "node", 1, None, *fields], unicode_errors="replace"))


@given(envelopes, st.data())
def test_damaged_envelopes_raise_only_envelope_errors(envelope, data):
    body = bytearray(encode(envelope))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(EnvelopeError):
        decode(bytes(body))


def test_deep_value_in_place_of_the_type_is_malformed() -> None:
    with pytest.raises(EnvelopeError, match="unknown"):
        decode(b"\x95\x01" + b"\x91" * 1_000 + b"\x01\xa1a\x01\xc0")


@pytest.mark.parametrize("additional", [7, None, "x" * 129, "a\0b", [], {}])
def test_other_additional_fields_of_a_later_release_are_ignored(additional):
    row = [1, 3, MESSAGE_ID.node_id, 7, 3, "/", [], [], False, ["2[]"], additional]
    message = decode(msgpack.packb(row)).message
    assert message == m.BroadcastMessage("/", (), (), False, ("2[]",))
    assert type(message) is m.BroadcastMessage


def test_trace_is_the_last_field_and_earlier_releases_find_the_rest_where_it_was():
    plain, traced = ("/", ("a",), (), False, ("2[]",)), "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
    row = msgpack.unpackb(encode(Envelope(MESSAGE_ID, m.TracedBroadcast(*plain, traced))))
    assert row[:-1] == msgpack.unpackb(encode(Envelope(MESSAGE_ID, m.BroadcastMessage(*plain))))
    assert row[-1] == traced


def test_broadcast_that_cannot_be_encoded_leaves_nothing_in_the_next_one():
    message = m.BroadcastMessage("/", ("room",), (), False, ("2[]",))
    expected = encode(Envelope(MessageId("node", 2, 1), message))
    with pytest.raises(EnvelopeError, match="surrogate"):
        encode(Envelope(MessageId("node", 1, 0), dataclasses.replace(message, rooms=("\ud800",))))
    assert encode(Envelope(MessageId("node", 2, 1), message)) == expected
    large = dataclasses.replace(message, frames=("x" * 100_000,))
    assert decode(encode(Envelope(MessageId("node", 3, 2), large))).message == large
