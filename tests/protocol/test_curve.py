"""Tests of `zmqio.protocol.curve` against a server written from its specification. E2e tests use libzmq's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import (
    crypto_box,
    crypto_box_afternm,
    crypto_box_beforenm,
    crypto_box_keypair,
    crypto_box_open,
    crypto_box_open_afternm,
)
from zmqio_broker.security import SEALED_BYTES

from zmqio.exceptions import ZmtpError
from zmqio.protocol.curve import CurveKeys, CurveMechanism
from zmqio.protocol.mechanism import SocketType
from zmqio.protocol.zmtp import Conversation, frame

GREETING_OF_A_SERVER = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + b"\x01" + bytes(31)
METADATA_OF_AN_XPUB = b"\x0bSocket-Type\x00\x00\x00\x04XPUB"


def command_frame(body: bytes) -> bytes:
    return bytes((4, len(body))) + body


class CurveServer:
    """The other end, without a ZAP handler: commands in, commands out. Source: rfc.zeromq.org/spec/26."""

    def __init__(self) -> None:
        self.public, self.secret = crypto_box_keypair()
        self.sent = 0
        self.client_key = b""
        self.metadata = b""

    def welcome(self, hello: bytes) -> bytes:
        assert hello[:8] == b"\x05HELLO\x01\x00"
        assert hello[8:80] == bytes(72)
        self.client = hello[80:112]
        assert crypto_box_open(
            hello[120:], b"CurveZMQHELLO---" + hello[112:120], self.client, self.secret
        ) == bytes(64)
        self.short_public, short_secret = crypto_box_keypair()
        self.shared = crypto_box_beforenm(self.client, short_secret)
        self.short_secret = short_secret
        box = crypto_box(self.short_public + b"c" * 96, b"WELCOME-" + b"n" * 16, self.client, self.secret)
        return b"\x07WELCOME" + b"n" * 16 + box

    def ready(self, initiate: bytes, metadata: bytes = METADATA_OF_AN_XPUB) -> bytes:
        assert initiate[:105] == b"\x08INITIATE" + b"c" * 96
        plain = crypto_box_open_afternm(initiate[113:], b"CurveZMQINITIATE" + initiate[105:113], self.shared)
        self.client_key, nonce, vouch, self.metadata = plain[:32], plain[32:48], plain[48:128], plain[128:]
        opened = crypto_box_open(vouch, b"VOUCH---" + nonce, self.client_key, self.short_secret)
        assert opened == self.client + self.public
        number = self._next()
        return b"\x05READY" + number + crypto_box_afternm(metadata, b"CurveZMQREADY---" + number, self.shared)

    def seal(self, body: bytes, flags: int = 0) -> bytes:
        number = self._next()
        box = crypto_box_afternm(bytes((flags,)) + body, b"CurveZMQMESSAGES" + number, self.shared)
        return b"\x07MESSAGE" + number + box

    def open(self, sealed: bytes) -> bytes:
        return crypto_box_open_afternm(sealed[16:], b"CurveZMQMESSAGEC" + sealed[8:16], self.shared)

    def _next(self) -> bytes:
        self.sent += 1
        return self.sent.to_bytes(8, "big")


def keys_for(server: CurveServer) -> CurveKeys:
    public, secret = crypto_box_keypair()
    return CurveKeys(server.public, public, secret, "shown")


def ready_pair() -> tuple[CurveServer, CurveMechanism, CurveKeys]:
    server = CurveServer()
    keys = keys_for(server)
    mechanism = CurveMechanism(SocketType.SUB, keys)
    initiate = mechanism.answer(b"WELCOME", server.welcome(mechanism.begin())[8:])
    assert not mechanism.is_ready
    assert mechanism.answer(b"READY", server.ready(initiate)[6:]) == b""
    assert mechanism.is_ready
    return server, mechanism, keys


def ready_conversation() -> tuple[CurveServer, Conversation]:
    server = CurveServer()
    keys = keys_for(server)
    conversation = Conversation(SocketType.SUB, lambda socket_type: CurveMechanism(socket_type, keys))
    conversation.feed(GREETING_OF_A_SERVER)
    rest_of_greeting = conversation.take_answers()
    assert rest_of_greeting[:52] == b"CURVE" + bytes(47)
    hello = rest_of_greeting[52:]
    assert hello[:2] == bytes((4, 200))
    conversation.feed(command_frame(server.welcome(hello[2:])))
    initiate = conversation.take_answers()
    assert initiate[0] == 6  # a long command frame
    assert conversation.feed(command_frame(server.ready(initiate[9:]))) == []
    assert conversation.is_ready
    return server, conversation


def test_handshake_proves_the_long_term_key_and_sends_the_metadata():
    server, _, keys = ready_pair()
    assert server.client_key == keys.public_key
    assert server.metadata == b"\x0bSocket-Type\x00\x00\x00\x03SUB"


def test_frames_are_encrypted_both_ways_with_33_bytes_more():
    server, mechanism, _ = ready_pair()
    sealed = mechanism.seal(0, b"body")
    assert server.open(sealed) == b"\0body"
    assert len(sealed) == len(b"body") + SEALED_BYTES == len(b"body") + mechanism.sealing_bytes
    assert mechanism.open(server.seal(b"answer", 1)) == (1, b"answer")


def test_numbers_rise_and_a_repeated_frame_is_refused():
    server, mechanism, _ = ready_pair()
    first, second = server.seal(b"1"), server.seal(b"2")
    mechanism.open(second)
    for repeated in (first, second):
        with pytest.raises(ZmtpError, match="repeats one"):
            mechanism.open(repeated)
    assert mechanism.seal(0, b"x")[8:16] < mechanism.seal(0, b"x")[8:16]


@given(st.binary(max_size=80))
def test_frames_that_are_not_from_the_peer_are_refused(data):
    _, mechanism, _ = SHARED
    for sealed in (data, b"\x07MESSAGE" + b"\xff" * 8 + data):
        with pytest.raises(ZmtpError):
            mechanism.open(sealed)


SHARED = ready_pair()


def test_encrypted_frame_without_flags_is_refused():
    server, mechanism, _ = ready_pair()
    number = (1 << 40).to_bytes(8, "big")
    box = crypto_box_afternm(b"", b"CurveZMQMESSAGES" + number, server.shared)
    with pytest.raises(ZmtpError, match="without flags"):
        mechanism.open(b"\x07MESSAGE" + number + box)


def test_conversation_reads_messages_commands_and_parts_in_encrypted_frames():
    server, conversation = ready_conversation()
    ping = server.seal(b"\x04PING\0\0context", 2)
    sealed = [ping, server.seal(b"x"), server.seal(b"a", 1), server.seal(b"b")]
    assert conversation.feed(b"".join(map(frame, sealed))) == [b"x", (b"a", b"b")]
    pong = conversation.take_answers()
    assert server.open(pong[2:]) == b"\x02\x04PONGcontext"
    assert server.open(conversation.encode(b"mine")[2:]) == b"\0mine"
    assert server.open(conversation.ping()[2:]) == b"\x02\x04PING\0\0"


@pytest.mark.parametrize("flags", [3, 4, 0x80])
def test_invalid_flags_in_encrypted_frames_are_refused(flags):
    server, conversation = ready_conversation()
    with pytest.raises(ZmtpError, match="invalid flags"):
        conversation.feed(frame(server.seal(b"x", flags)))


def test_plain_frames_are_refused_once_frames_are_encrypted():
    ping = b"\x04\x07\x04PING\0\0"
    for plain in (frame(b"plain"), ping, b"\x01\x01a"):
        _, conversation = ready_conversation()
        with pytest.raises(ZmtpError, match="encrypted"):
            conversation.feed(plain)
        assert conversation.take_answers() == b""


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (b"READY", b""),
        (b"FUTURE", b""),
        (b"WELCOME", b""),
        (b"WELCOME", bytes(160)),
    ],
)
def test_commands_out_of_turn_and_malformed_ones_are_refused(name, data):
    server = CurveServer()
    mechanism = CurveMechanism(SocketType.SUB, keys_for(server))
    mechanism.begin()
    with pytest.raises(ZmtpError):
        mechanism.answer(name, data)
    assert not mechanism.is_ready


def test_welcome_of_another_server_is_refused():
    server, impostor = CurveServer(), CurveServer()
    mechanism = CurveMechanism(SocketType.SUB, keys_for(server))
    impostor.secret, secret = server.secret, impostor.secret  # to read HELLO
    hello = mechanism.begin()
    impostor.welcome(hello)
    impostor.secret = secret
    box = crypto_box(impostor.short_public + b"c" * 96, b"WELCOME-" + b"n" * 16, impostor.client, secret)
    with pytest.raises(ZmtpError, match="does not have the secret of `server_key`"):
        mechanism.answer(b"WELCOME", b"n" * 16 + box)


def test_ready_is_checked_for_its_encryption_and_socket_type():
    server = CurveServer()
    mechanism = CurveMechanism(SocketType.SUB, keys_for(server))
    initiate = mechanism.answer(b"WELCOME", server.welcome(mechanism.begin())[8:])
    with pytest.raises(ZmtpError, match="not encrypted with the keys"):
        mechanism.answer(b"READY", bytes(60))
    with pytest.raises(ZmtpError, match="is a PULL socket"):
        mechanism.answer(b"READY", server.ready(initiate, b"\x0bSocket-Type\x00\x00\x00\x04PULL")[6:])
    assert not mechanism.is_ready


def test_reasons_name_the_key_and_the_remedy():
    server = CurveServer()
    mechanism = CurveMechanism(SocketType.SUB, keys_for(server))
    assert "public key shown" in mechanism.describe_refusal(b"400")
    assert "'300'" in mechanism.describe_refusal(b"300")
    assert "--curve-secret" in mechanism.describe_mismatch(b"NULL")
    assert "PLAIN" in mechanism.describe_mismatch(b"PLAIN")
    assert "is not its public key" in mechanism.describe_hangup()
    mechanism.answer(b"WELCOME", server.welcome(mechanism.begin())[8:])
    assert "does not accept this process's keys" in mechanism.describe_hangup()


def test_secret_key_is_not_shown():
    keys = keys_for(CurveServer())
    assert "secret" not in repr(keys)
