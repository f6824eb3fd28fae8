"""ZMTP 3.0, the wire protocol of ZeroMQ: the end of a publisher or subscriber that connects. Bytes in, bytes out.

Both ends send a greeting of 64 bytes, then each a READY command that names its kind of socket (mechanism NULL: no
security). From then on frames: one byte of flags, the size in one byte or eight, the body. With heartbeats (PING
and PONG) as libzmq has had them since 4.2; every later one speaks 3.0 with a peer that says so.

Source: rfc.zeromq.org/spec/23 (ZMTP 3.0), /spec/37 (3.1) for the heartbeats.
"""

from enum import StrEnum

from zmqio.exceptions import ZmtpError

__all__ = ["GREETING", "PING", "Conversation", "Message", "SocketType", "cancellation", "frame", "subscription"]

Message = bytes | tuple[bytes, ...]
"""One message: its only frame, or all its frames where there are several."""

MORE, LONG, COMMAND = 1, 2, 4
SHORT_LIMIT = 255
SHORT_HEADER = 2
LONG_HEADER = 9
"""Bytes of the header of a frame that has more than `SHORT_LIMIT` bytes."""

MAJOR_VERSION = 3
_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
_MECHANISM = b"NULL".ljust(20, b"\0")
GREETING = _SIGNATURE + bytes((MAJOR_VERSION, 0)) + _MECHANISM + bytes(32)
"""What each end sends first: version 3.0, no security, and that it is no server."""
_MAJOR = len(_SIGNATURE)
_MECHANISM_AT = slice(_MAJOR + 2, _MAJOR + 22)
MAX_FRAME_BYTES = 1 << 31
MAX_PING_CONTEXT_BYTES = 16
SHOWN_BYTES = 24
"""So much of what a stranger says is shown in an error."""


class SocketType(StrEnum):
    """What a connecting end says that it is."""

    PUB = "PUB"
    SUB = "SUB"
    DEALER = "DEALER"


_PEERS = {
    SocketType.PUB: (b"SUB", b"XSUB"),
    SocketType.SUB: (b"PUB", b"XPUB"),
    SocketType.DEALER: (b"ROUTER", b"DEALER", b"REP"),
}


def frame(body: bytes) -> bytes:
    """A message of one frame, as it is on the wire."""
    size = len(body)
    if size <= SHORT_LIMIT:
        return bytes((0, size)) + body
    return b"\x02" + size.to_bytes(8, "big") + body


def subscription(topic: bytes) -> bytes:
    """The message by which a subscriber asks for all that begins with `topic`."""
    return frame(b"\x01" + topic)


def cancellation(topic: bytes) -> bytes:
    """The message by which a subscriber takes a subscription back."""
    return frame(b"\x00" + topic)


def _command(name: bytes, data: bytes) -> bytes:
    body = bytes((len(name),)) + name + data
    return bytes((COMMAND, len(body))) + body


PING = _command(b"PING", bytes(2))
"""The command that has to be answered; its time to live of 0 asks the peer to expect nothing."""


class Conversation:
    """What the peer says over one connection; send `GREETING` first.

    What comes is bounded by `MAX_FRAME_BYTES` alone: brokers refuse what is over their own limit.

    Args:
        socket_type: what this end is.

    Attributes:
        is_ready: whether both ends have shaken hands; messages may be sent from then on.
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
        """Take what came.

        Returns:
            The messages that are whole now; to a publisher: subscriptions (0x01 and the topic) and cancellations
            (0x00).

        Raises:
            ZmtpError: this is no such peer; the connection is of no use any more.
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
        """What has to be sent to the peer now."""
        answers, self._answers = self._answers, b""
        return answers

    def _take_greeting(self, data: bytes) -> bytes:
        """What follows the greeting; nothing while it is not whole. A stranger is told by its first bytes."""
        if data[0] != _SIGNATURE[0] or data[_MAJOR - 1 : _MAJOR] not in {b"", _SIGNATURE[-1:]}:
            raise ZmtpError(f"is no ZeroMQ peer: it begins with {data[:SHOWN_BYTES]!r}")
        if len(data) > _MAJOR and data[_MAJOR] < MAJOR_VERSION:
            raise ZmtpError(f"speaks ZMTP {data[_MAJOR]}, which is from before 2012; {MAJOR_VERSION} is needed")
        if len(data) < len(GREETING):
            self._rest += data
            return b""
        if data[_MECHANISM_AT] != _MECHANISM:
            mechanism = data[_MECHANISM_AT].rstrip(b"\0")
            raise ZmtpError(f"asks for the mechanism {mechanism!r}; only NULL is spoken here")
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
        """Take a frame that is not simply a message."""
        if flags & ~(MORE | LONG | COMMAND) or (flags & COMMAND and (flags & MORE or self._parts)):
            raise ZmtpError(f"sent a frame with the flags {flags:#04x}")
        if flags & COMMAND:
            self._take_command(body)
        elif not self.is_ready:
            raise ZmtpError("sent a message before it was ready")
        elif flags & MORE:
            self._parts.append(body)
        else:
            messages.append((*self._parts, body))
            self._parts.clear()

    def _take_command(self, body: bytes) -> None:
        end = 1 + body[0] if body else 0
        name, data = body[1:end], body[end:]
        if name == b"ERROR":
            raise ZmtpError(f"refuses this end: {data[1:].decode('latin-1')!r}")
        if not self.is_ready:
            self._shake_hands(name, data)
        elif name == b"PING":
            self._answers += _command(b"PONG", data[2 : 2 + MAX_PING_CONTEXT_BYTES])

    def _shake_hands(self, name: bytes, data: bytes) -> None:
        if name != b"READY":
            raise ZmtpError(f"sent the command {name[:SHOWN_BYTES]!r} before it was ready")
        peer = _properties(data).get(b"socket-type", b"")
        if peer not in _PEERS[self._type]:
            raise ZmtpError(
                f"is a {peer.decode('latin-1') or 'nameless'} socket, which a {self._type} does not fit"
            )
        self.is_ready = True


def _checked_size(eight_bytes: bytes) -> int:
    size = int.from_bytes(eight_bytes, "big")
    if size > MAX_FRAME_BYTES:
        raise ZmtpError(f"begins a frame of {size} bytes; {MAX_FRAME_BYTES} at most are taken")
    return size


def _properties(data: bytes) -> dict[bytes, bytes]:
    """The properties of a READY command; their names mean the same in capitals."""
    properties: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        value_at = at + 1 + data[at] + 4
        size = int.from_bytes(data[value_at - 4 : value_at], "big")
        if value_at + size > len(data):
            raise ZmtpError("sent a READY command whose properties are cut short")
        properties[data[at + 1 : value_at - 4].lower()] = data[value_at : value_at + size]
        at = value_at + size
    return properties
