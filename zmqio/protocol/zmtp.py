"""ZMTP 3.0, the wire protocol of ZeroMQ, for a publisher or subscriber that connects. Bytes in, messages out.

Both ends send a greeting of 64 bytes, then a READY command that names their socket type (mechanism NULL, without
security). All further data are frames: one byte of flags, the size in one or eight bytes, the body. Heartbeats
(PING and PONG) follow libzmq 4.2. Later versions of libzmq use ZMTP 3.0 with a peer that announces it.

Source: rfc.zeromq.org/spec/23 (ZMTP 3.0), /spec/37 (3.1) for the heartbeats.
"""

from enum import StrEnum

from zmqio.exceptions import ZmtpError

__all__ = ["GREETING", "PING", "Conversation", "Message", "SocketType", "cancellation", "frame", "subscription"]

Message = bytes | tuple[bytes, ...]
"""One message: its only frame, or a tuple of its frames if there are several."""

MORE, LONG, COMMAND = 1, 2, 4
SHORT_LIMIT = 255
SHORT_HEADER = 2
LONG_HEADER = 9
"""Header size of a frame with more than `SHORT_LIMIT` bytes."""

MAJOR_VERSION = 3
_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
_MECHANISM = b"NULL".ljust(20, b"\0")
GREETING = _SIGNATURE + bytes((MAJOR_VERSION, 0)) + _MECHANISM + bytes(32)
"""The first bytes that each end sends: version 3.0, mechanism NULL, not a server."""
_MAJOR = len(_SIGNATURE)
_MECHANISM_AT = slice(_MAJOR + 2, _MAJOR + 22)
MAX_FRAME_BYTES = 1 << 31
MAX_PING_CONTEXT_BYTES = 16
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


def frame(body: bytes) -> bytes:
    """Encode a single-frame message."""
    size = len(body)
    if size <= SHORT_LIMIT:
        return bytes((0, size)) + body
    return b"\x02" + size.to_bytes(8, "big") + body


def subscription(topic: bytes) -> bytes:
    """Encode a subscription to all topics that begin with `topic`."""
    return frame(b"\x01" + topic)


def cancellation(topic: bytes) -> bytes:
    """Encode the cancellation of a subscription."""
    return frame(b"\x00" + topic)


def _command(name: bytes, data: bytes) -> bytes:
    body = bytes((len(name),)) + name + data
    return bytes((COMMAND, len(body))) + body


PING = _command(b"PING", bytes(2))
"""The heartbeat command, which requires a PONG. Its time to live of 0 sets no time-out at the peer."""


class Conversation:
    """The protocol state of one connection; send `GREETING` first.

    Received frames are limited by `MAX_FRAME_BYTES` only: brokers refuse messages beyond their own limit.

    Args:
        socket_type: socket type of this end.

    Attributes:
        is_ready: whether the handshake is complete, so that messages may be sent.
    """

    def __init__(self, socket_type: SocketType) -> None:
        self.is_ready = False
        self._type = socket_type
        self._greeted = False
        self._rest = bytearray()
        self._wanted = 1
        self._parts: list[bytes] = []
        self._answers = b""

    def feed(self, data: bytes) -> list[Message]:
        """Process received bytes.

        Returns:
            The messages that are now complete. A publisher receives subscriptions (0x01, then the topic) and
            cancellations (0x00, then the topic).

        Raises:
            ZmtpError: the peer violates the protocol; close the connection.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        if data and not self._greeted:
            data = self._take_greeting(data)
        return self._take_frames(data) if data else []

    def take_answers(self) -> bytes:
        """Return the bytes that must be sent to the peer now."""
        answers, self._answers = self._answers, b""
        return answers

    def _take_greeting(self, data: bytes) -> bytes:
        """Return the bytes after the greeting; none while it is incomplete. Another protocol fails early."""
        if data[0] != _SIGNATURE[0] or data[_MAJOR - 1 : _MAJOR] not in {b"", _SIGNATURE[-1:]}:
            raise ZmtpError(f"is not a ZeroMQ peer: its data begin with {data[:SHOWN_BYTES]!r}")
        if len(data) > _MAJOR and data[_MAJOR] < MAJOR_VERSION:
            raise ZmtpError(f"speaks ZMTP {data[_MAJOR]}, from before 2012; version {MAJOR_VERSION} is required")
        if len(data) < len(GREETING):
            self._rest += data
            return b""
        if data[_MECHANISM_AT] != _MECHANISM:
            mechanism = data[_MECHANISM_AT].rstrip(b"\0")
            raise ZmtpError(f"requires the mechanism {mechanism!r}; only NULL is supported")
        self._greeted = True
        name = self._type.encode()
        self._answers += _command(b"READY", b"\x0bSocket-Type" + len(name).to_bytes(4, "big") + name)
        return data[len(GREETING) :]

    def _take_frames(self, data: bytes) -> list[Message]:
        messages: list[Message] = []
        start, end, wanted = 0, len(data), SHORT_HEADER
        while end - start >= SHORT_HEADER:
            flags, size = data[start], data[start + 1]
            body = start + SHORT_HEADER
            if flags & LONG:
                if end - start < LONG_HEADER:
                    wanted = LONG_HEADER
                    break
                body = start + LONG_HEADER
                size = _checked_size(data[start + 1 : body])
            stop = body + size
            if stop > end:
                wanted = stop - start
                break
            if flags | LONG == LONG and self.is_ready and not self._parts:
                messages.append(data[body:stop])
            else:
                self._take(flags, data[body:stop], messages)
            start = stop
        if start < end:
            self._rest += data[start:]
        self._wanted = wanted
        return messages

    def _take(self, flags: int, body: bytes, messages: list[Message]) -> None:
        """Process a command, a frame of a multi-frame message, or an invalid frame."""
        if flags & ~(MORE | LONG | COMMAND) or (flags & COMMAND and (flags & MORE or self._parts)):
            raise ZmtpError(f"sent a frame with invalid flags {flags:#04x}")
        if flags & COMMAND:
            self._take_command(body)
        elif not self.is_ready:
            raise ZmtpError("sent a message before its READY command")
        elif flags & MORE:
            self._parts.append(body)
        else:
            messages.append((*self._parts, body))
            self._parts.clear()

    def _take_command(self, body: bytes) -> None:
        end = 1 + body[0] if body else 0
        name, data = body[1:end], body[end:]
        if name == b"ERROR":
            raise ZmtpError(f"refused the connection: {data[1:].decode('latin-1')!r}")
        if not self.is_ready:
            self._shake_hands(name, data)
        elif name == b"PING":
            self._answers += _command(b"PONG", data[2 : 2 + MAX_PING_CONTEXT_BYTES])

    def _shake_hands(self, name: bytes, data: bytes) -> None:
        if name != b"READY":
            raise ZmtpError(f"sent the command {name[:SHOWN_BYTES]!r} before its READY command")
        peer = _properties(data).get(b"socket-type", b"")
        if peer not in _PEERS[self._type]:
            name_of_peer = peer.decode("latin-1") or "nameless"
            raise ZmtpError(f"is a {name_of_peer} socket, which cannot connect to a {self._type} socket")
        self.is_ready = True


def _checked_size(eight_bytes: bytes) -> int:
    size = int.from_bytes(eight_bytes, "big")
    if size > MAX_FRAME_BYTES:
        raise ZmtpError(f"announced a frame of {size} bytes; the limit is {MAX_FRAME_BYTES} bytes")
    return size


def _properties(data: bytes) -> dict[bytes, bytes]:
    """Parse the properties of a READY command; their names are not case-sensitive."""
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
