"""Tests of `zmqio.protocol.mechanism`: NULL. `test_zmtp` tests it inside a conversation."""

import pytest

from zmqio.exceptions import ZmtpError
from zmqio.protocol.mechanism import NullMechanism, SocketType, check_peer, command_body, metadata


def test_metadata_names_the_socket_type():
    assert metadata(SocketType.PUB) == b"\x0bSocket-Type\x00\x00\x00\x03PUB"
    assert command_body(b"READY", b"data") == b"\x05READYdata"


def test_null_handshake_is_one_command_each_way():
    mechanism = NullMechanism(SocketType.DEALER)
    assert mechanism.begin() == command_body(b"READY", metadata(SocketType.DEALER))
    assert mechanism.answer(b"READY", b"\x0bSocket-Type\x00\x00\x00\x06ROUTER") == b""
    assert mechanism.is_ready
    assert mechanism.describe_hangup() == ""


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x0bSocket-Type\x00\x00\x00\x04PULL", b"\x01a\x00\x00\x00\x09x"])
def test_refuses_peers_whose_metadata_is_malformed_or_whose_type_does_not_fit(data):
    with pytest.raises(ZmtpError):
        check_peer(SocketType.SUB, data)


def test_says_what_to_do_where_the_peer_requires_keys():
    assert "ZMQIO_CURVE_SERVER_KEY" in NullMechanism(SocketType.SUB).describe_mismatch(b"CURVE")
    assert "GSSAPI" in NullMechanism(SocketType.SUB).describe_mismatch(b"GSSAPI")


def test_null_never_encrypts():
    mechanism = NullMechanism(SocketType.SUB)
    assert not mechanism.encrypts
    assert mechanism.sealing_bytes == 0
    for call in (lambda: mechanism.seal(0, b""), lambda: mechanism.open(b"")):
        with pytest.raises(NotImplementedError):
            call()
