"""Security mechanisms of ZMTP: the handshake after the greetings, and the encryption of later frames.

A mechanism works on the bodies of commands (the length of the name, the name, the data); `Conversation` frames
them. This module has the mechanism NULL, without security; `zmqio.protocol.curve` has CURVE.

Source: rfc.zeromq.org/spec/23 (ZMTP 3.0).
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Protocol

from zmqio.exceptions import ZmtpError

__all__ = [
    "SHOWN_BYTES",
    "MakeMechanism",
    "Mechanism",
    "NullMechanism",
    "SocketType",
    "check_peer",
    "command_body",
    "metadata",
]

SHOWN_BYTES = 24
"""Most bytes of unexpected data shown in an error."""


class SocketType(StrEnum):
    """Socket types of a connecting end."""

    PUB = "PUB"
    SUB = "SUB"
    DEALER = "DEALER"


_PEERS = {
    SocketType.PUB: (b"SUB", b"XSUB"),
    SocketType.SUB: (b"PUB", b"XPUB"),
    SocketType.DEALER: (b"ROUTER", b"DEALER", b"REP"),
}


class Mechanism(Protocol):
    """The security of one connection, at the end that connects.

    Attributes:
        name: as in the greeting.
        encrypts: whether frames are sealed once the handshake is complete.
        sealing_bytes: bytes that encryption adds to each frame; 0 if `encrypts` is False.
        is_ready: whether the handshake is complete.
    """

    name: bytes
    encrypts: bool
    sealing_bytes: int
    is_ready: bool

    def begin(self) -> bytes:
        """Return the first command, sent after the peer's greeting."""

    def answer(self, name: bytes, data: bytes) -> bytes:
        """Process a command of the peer's handshake; return the command to send, or nothing.

        Raises:
            ZmtpError: the peer violates the protocol or refuses this end.
        """

    def seal(self, flags: int, body: bytes) -> bytes:
        """Encrypt a frame. `flags`: 1 if more frames of the message follow, 2 for a command, otherwise 0."""

    def open(self, body: bytes) -> tuple[int, bytes]:
        """Decrypt a frame; return its flags (see `seal`) and its body.

        Raises:
            ZmtpError: the frame is not from the peer, or repeats an earlier one.
        """

    def describe_mismatch(self, mechanism: bytes) -> str:
        """Explain that the peer requires another mechanism, and what to do."""

    def describe_refusal(self, reason: bytes) -> str:
        """Explain the reason in an ERROR command of the peer."""

    def describe_hangup(self) -> str:
        """Explain why the peer has closed the connection before the end of the handshake; empty if unknown."""


MakeMechanism = Callable[[SocketType], Mechanism]
"""Makes the mechanism of each new connection."""


class NullMechanism:
    """The mechanism NULL: each end sends its metadata in a READY command, and nothing is encrypted."""

    name = b"NULL"
    encrypts = False
    sealing_bytes = 0

    def __init__(self, socket_type: SocketType) -> None:
        self.is_ready = False
        self._type = socket_type

    def begin(self) -> bytes:
        """Return the READY command."""
        return command_body(b"READY", metadata(self._type))

    def answer(self, name: bytes, data: bytes) -> bytes:
        """Process the READY command of the peer, which needs no answer."""
        if name != b"READY":
            raise ZmtpError(f"sent the command {name[:SHOWN_BYTES]!r} before its READY command")
        check_peer(self._type, data)
        self.is_ready = True
        return b""

    def seal(self, flags: int, body: bytes) -> bytes:
        """Never called, because nothing is encrypted."""
        raise NotImplementedError

    def open(self, body: bytes) -> tuple[int, bytes]:
        """Never called, because nothing is encrypted."""
        raise NotImplementedError

    def describe_mismatch(self, mechanism: bytes) -> str:
        """Explain that the peer requires another mechanism, and what to do."""
        if mechanism == b"CURVE":
            return (
                "requires keys (CURVE), and this process has none: give it `curve`, or set ZMQIO_CURVE_SERVER_KEY "
                "and ZMQIO_CURVE_SECRET_FILE"
            )
        return f"requires the mechanism {mechanism!r}; only NULL and CURVE are supported"

    def describe_refusal(self, reason: bytes) -> str:
        """Explain the reason in an ERROR command of the peer."""
        return f"refused the connection: {reason.decode('latin-1')!r}"

    def describe_hangup(self) -> str:
        """Nothing is known."""
        return ""


def command_body(name: bytes, data: bytes) -> bytes:
    """Encode a command."""
    return bytes((len(name),)) + name + data


def metadata(socket_type: SocketType) -> bytes:
    """Encode the metadata of this end: its socket type."""
    value = socket_type.encode()
    return b"\x0bSocket-Type" + len(value).to_bytes(4, "big") + value


def check_peer(socket_type: SocketType, data: bytes) -> None:
    """Check the metadata of the peer.

    Raises:
        ZmtpError: the metadata is malformed, or the peer's socket type does not fit `socket_type`.
    """
    peer = _properties(data).get(b"socket-type", b"")
    if peer not in _PEERS[socket_type]:
        name_of_peer = peer.decode("latin-1") or "nameless"
        raise ZmtpError(f"is a {name_of_peer} socket, which cannot connect to a {socket_type} socket")


def _properties(data: bytes) -> Mapping[bytes, bytes]:
    """Parse metadata; the names of properties are not case-sensitive."""
    properties: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        value_at = at + 1 + data[at] + 4
        size = int.from_bytes(data[value_at - 4 : value_at], "big")
        if value_at + size > len(data):
            raise ZmtpError("sent a READY command with truncated properties")
        properties[data[at + 1 : value_at - 4].lower()] = data[value_at : value_at + size]
        at = value_at + size
    return properties
