"""Tests of `zmqio.protocol.zmtp` by rfc.zeromq.org/spec/23; `test_connection` tests it against libzmq."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.exceptions import ZmtpError
from zmqio.protocol import zmtp
from zmqio.protocol.zmtp import Conversation, SocketType

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)

READY_OF_AN_XPUB = b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04XPUB"
READY_OF_AN_XSUB = READY_OF_AN_XPUB.replace(b"XPUB", b"XSUB")


def ready(socket_type: SocketType = SocketType.SUB) -> Conversation:
    """A conversation after its handshake."""
    conversation = Conversation(socket_type)
    assert conversation.feed(GREETING) == []
    conversation.take_answers()
    assert conversation.feed(READY_OF_AN_XPUB if socket_type is SocketType.SUB else READY_OF_AN_XSUB) == []
    assert conversation.is_ready
    return conversation


def command(name: bytes, data: bytes) -> bytes:
    return bytes((4, 1 + len(name) + len(data), len(name))) + name + data


def test_greeting_is_64_bytes_of_version_3_0_without_security():
    conversation = Conversation(SocketType.SUB)
    conversation.feed(GREETING)
    sent = conversation.greeting + conversation.take_answers()
    assert sent[:64] == GREETING
    assert len(GREETING) == 64


def test_greeting_is_answered_with_a_ready_command():
    conversation = Conversation(SocketType.SUB)
    conversation.feed(GREETING)
    assert conversation.take_answers()[52:] == b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"
    assert conversation.take_answers() == b""
    assert not conversation.is_ready


def test_property_names_are_not_case_sensitive_and_unknown_ones_are_ignored():
    conversation = Conversation(SocketType.PUB)
    conversation.feed(GREETING)
    properties = b"\x08Identity\x00\x00\x00\x00" + b"\x0bSOCKET-TYPE\x00\x00\x00\x03SUB"
    conversation.feed(command(b"READY", properties))
    assert conversation.is_ready


@pytest.mark.parametrize("size", [0, 1, 255, 256, 70_000])
def test_frames_are_short_up_to_255_bytes(size):
    framed = zmtp.frame(b"x" * size)
    header = bytes((0, size)) if size <= 255 else b"\x02" + size.to_bytes(8, "big")
    assert framed == header + b"x" * size
    assert ready().feed(framed) == [b"x" * size]


def test_subscriptions_are_messages():
    assert zmtp.subscription(b"topic") == b"\x01topic"
    assert zmtp.cancellation(b"topic") == b"\x00topic"


def test_publisher_receives_subscriptions_and_cancellations():
    conversation = ready(SocketType.PUB)
    said = b"".join(
        map(zmtp.frame, [zmtp.subscription(b""), zmtp.subscription(b"room"), zmtp.cancellation(b"room")])
    )
    assert conversation.feed(said) == [b"\x01", b"\x01room", b"\x00room"]


def test_ping_is_answered_with_its_context_and_a_pong_is_not():
    conversation = ready()
    assert conversation.feed(command(b"PING", b"\x00\x0acontext") + command(b"PONG", b"")) == []
    assert conversation.take_answers() == command(b"PONG", b"context")
    conversation.feed(command(b"PING", b"\x00\x0a" + b"x" * 100))
    assert conversation.take_answers() == command(b"PONG", b"x" * 16)
    assert command(b"PING", b"\x00\x00") == conversation.ping()


def test_unknown_commands_are_ignored():
    assert ready().feed(command(b"FUTURE", b"1") + b"\x04\x00" + zmtp.frame(b"x")) == [b"x"]


def test_multi_frame_message_is_complete_and_must_not_contain_commands():
    conversation = ready()
    assert conversation.feed(b"\x01\x01a\x01\x01b") == []
    assert conversation.feed(b"\x00\x01c" + zmtp.frame(b"d")) == [(b"a", b"b", b"c"), b"d"]
    conversation.feed(b"\x01\x01a")
    with pytest.raises(ZmtpError, match="flags"):
        conversation.feed(conversation.ping())


MESSAGES = st.lists(st.binary(max_size=40) | st.integers(250, 600).map(bytes), min_size=1, max_size=8)


@given(MESSAGES, st.data())
def test_messages_do_not_depend_on_how_the_bytes_are_split(messages, data):
    stream = GREETING + READY_OF_AN_XPUB + b"".join(map(zmtp.frame, messages))
    conversation = Conversation(SocketType.SUB)
    received = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        received += conversation.feed(stream[:size])
        stream = stream[size:]
    assert received == messages


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is not a ZeroMQ peer: its data begins with b'HTTP/1.1 400"),
        (b"\x16\x03\x01\x02\x00", "is not a ZeroMQ peer"),
        (b"\xff" + bytes(9), "is not a ZeroMQ peer"),
        (GREETING[:10] + b"\x01", "speaks ZMTP 1, .* 3 is required"),
        (GREETING.replace(b"NULL\0", b"CURVE"), "requires keys .CURVE., and this process has none"),
        (GREETING + command(b"ERROR", b"\x03why"), "refused the connection: 'why'"),
        (GREETING + command(b"HELLO", b""), "the command b'HELLO' before its READY command"),
        (GREETING + command(b"READY", b"\x0bSocket-Type\x00\x00\x00\x04PULL"), "is a PULL socket"),
        (GREETING + command(b"READY", b""), "is a nameless socket"),
        (GREETING + command(b"READY", b"\x0bSocket-Type\x00\x00\x00\x09XPUB"), "truncated"),
        (GREETING + command(b"READY", b"\xff"), "truncated"),
        (GREETING + zmtp.frame(b"early"), "sent a message before the end of the handshake"),
        (GREETING + READY_OF_AN_XPUB + b"\x02" + b"\xff" * 8, "announced a frame of 18446744073709551615 bytes"),
        (GREETING + READY_OF_AN_XPUB + b"\x48\x00", "sent a frame with invalid flags 0x48"),
        (GREETING + READY_OF_AN_XPUB + b"\x05\x00", "sent a frame with invalid flags 0x05"),
    ],
)
def test_error_names_the_protocol_violation(said, reason):
    with pytest.raises(ZmtpError, match=reason):
        Conversation(SocketType.SUB).feed(said)


@pytest.mark.parametrize("begin", [b"", GREETING, GREETING + READY_OF_AN_XPUB])
@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_zmtp_errors(begin, data):
    conversation = Conversation(SocketType.SUB)
    if begin:
        conversation.feed(begin)
    with contextlib.suppress(ZmtpError):
        conversation.feed(data)


def test_nothing_is_known_about_a_peer_that_closes_a_plain_connection():
    conversation = Conversation(SocketType.SUB)
    assert conversation.hangup_reason == ""
    conversation.feed(GREETING)
    assert conversation.hangup_reason == ""
    assert ready().hangup_reason == ""
