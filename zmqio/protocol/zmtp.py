"""ZMTP 3.0, the wire protocol of ZeroMQ, for a publisher or subscriber that connects. Bytes in, messages out.

Both ends send a greeting of 64 bytes (signature, version, name of the security mechanism), then the commands of
the handshake, which depend on the mechanism. All data after the greeting are frames: one byte of flags, the size
in one or eight bytes, the body. Heartbeats (PING and PONG) follow libzmq 4.2. libzmq versions that speak a later
ZMTP use 3.0 with a peer that announces 3.0.

Source: rfc.zeromq.org/spec/23 (ZMTP 3.0), /spec/37 (3.1) for the heartbeats.
"""

from collections.abc import Callable

from zmqio.exceptions import ZmtpError
from zmqio.protocol.mechanism import (
    SHOWN_BYTES,
    MakeMechanism,
    NullMechanism,
    SocketType,
    command_body,
)

__all__ = ["Conversation", "Message", "SocketType", "cancellation", "frame", "subscription"]

Message = bytes | tuple[bytes, ...]
"""One message: its only frame, or a tuple of its frames if there are several."""

MORE, LONG, COMMAND = 1, 2, 4
SHORT_LIMIT = 255
SHORT_HEADER = 2
LONG_HEADER = 9
"""Header size of a frame with more than `SHORT_LIMIT` bytes."""

MAJOR_VERSION = 3
_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
_MAJOR = len(_SIGNATURE)
_MECHANISM_AT = slice(_MAJOR + 2, _MAJOR + 22)
GREETING_BYTES = 64
MAX_FRAME_BYTES = 1 << 31
MAX_PING_CONTEXT_BYTES = 16
# Flags inside an encrypted frame.
_SEALED_MORE, _SEALED_COMMAND = 1, 2


def subscription(topic: bytes) -> bytes:
    """Return the message that subscribes to all topics that begin with `topic`."""
    return b"\x01" + topic


def cancellation(topic: bytes) -> bytes:
    """Return the message that cancels a subscription."""
    return b"\x00" + topic


def frame(body: bytes) -> bytes:
    """Encode the only frame of a message."""
    size = len(body)
    if size <= SHORT_LIMIT:
        return bytes((0, size)) + body
    return b"\x02" + size.to_bytes(8, "big") + body


def _command_frame(body: bytes) -> bytes:
    size = len(body)
    if size <= SHORT_LIMIT:
        return bytes((COMMAND, size)) + body
    return bytes((COMMAND | LONG,)) + size.to_bytes(8, "big") + body


class Conversation:
    """The protocol state of one connection; send `greeting` first.

    Send frames in the order in which they were encoded: a mechanism that encrypts numbers them, and the peer
    checks the order. Received frames are limited by `MAX_FRAME_BYTES` only: brokers refuse messages beyond their
    own limit.

    Args:
        socket_type: socket type of this end.
        make_mechanism: makes the security mechanism.

    Attributes:
        greeting: the beginning of this end's greeting, up to the version. The rest is sent only after the peer's
            whole greeting. Otherwise libzmq would close a connection with another mechanism before it has named
            its own, and the error could not name it.
        encode: encodes a message of one frame. Call it only once the handshake is complete.
        sealing_bytes: bytes that the mechanism adds to each frame.
    """

    def __init__(self, socket_type: SocketType, make_mechanism: MakeMechanism = NullMechanism) -> None:
        self._mechanism = make_mechanism(socket_type)
        self.sealing_bytes = self._mechanism.sealing_bytes
        self.greeting = _SIGNATURE + bytes((MAJOR_VERSION, 0))
        self.encode: Callable[[bytes], bytes] = self._seal if self._mechanism.encrypts else frame
        # Both are False until the handshake is complete; then one of them is True.
        self._is_plain = self._is_sealed = False
        self._greeted = False
        self._rest = bytearray()
        self._wanted = 1
        self._parts: list[bytes] = []
        self._answers = b""

    @property
    def is_ready(self) -> bool:
        """Whether the handshake is complete, so that messages may be sent."""
        return self._mechanism.is_ready

    @property
    def hangup_reason(self) -> str:
        """The reason why the peer closed the connection, if the handshake shows it; otherwise empty."""
        return "" if self.is_ready or not self._greeted else self._mechanism.describe_hangup()

    def ping(self) -> bytes:
        """Encode a heartbeat, which requires a PONG. Its time to live of 0 sets no time-out at the peer."""
        return self._command(command_body(b"PING", bytes(2)))

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
            raise ZmtpError(f"is not a ZeroMQ peer: its data begins with {data[:SHOWN_BYTES]!r}")
        if len(data) > _MAJOR and data[_MAJOR] < MAJOR_VERSION:
            raise ZmtpError(f"speaks ZMTP {data[_MAJOR]}, from before 2012; version {MAJOR_VERSION} is required")
        if len(data) < GREETING_BYTES:
            self._rest += data
            return b""
        mechanism = data[_MECHANISM_AT].rstrip(b"\0")
        if mechanism != self._mechanism.name:
            raise ZmtpError(self._mechanism.describe_mismatch(mechanism))
        self._greeted = True
        # 20 bytes for the mechanism, 1 for "not a server", 31 of padding.
        self._answers += mechanism.ljust(52, b"\0") + _command_frame(self._mechanism.begin())
        return data[GREETING_BYTES:]

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
            if flags | LONG == LONG and self._is_plain and not self._parts:
                messages.append(data[body:stop])
            elif flags | LONG == LONG and self._is_sealed:
                self._take_sealed(data[body:stop], messages)
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
        if self._is_sealed:
            raise ZmtpError("sent a frame that is not encrypted")
        if flags & COMMAND:
            self._take_command(body)
        elif not self.is_ready:
            raise ZmtpError("sent a message before the end of the handshake")
        else:
            self._take_part(body, messages, more=bool(flags & MORE))

    def _take_sealed(self, sealed: bytes, messages: list[Message]) -> None:
        flags, body = self._mechanism.open(sealed)
        if not flags and not self._parts:
            messages.append(body)
        elif flags & ~(_SEALED_MORE | _SEALED_COMMAND) or (flags & _SEALED_COMMAND and (flags & 1 or self._parts)):
            raise ZmtpError(f"sent an encrypted frame with invalid flags {flags:#04x}")
        elif flags & _SEALED_COMMAND:
            self._take_command(body)
        else:
            self._take_part(body, messages, more=bool(flags & _SEALED_MORE))

    def _take_part(self, body: bytes, messages: list[Message], *, more: bool) -> None:
        if more:
            self._parts.append(body)
        else:
            messages.append((*self._parts, body) if self._parts else body)
            self._parts.clear()

    def _take_command(self, body: bytes) -> None:
        end = 1 + body[0] if body else 0
        name, data = body[1:end], body[end:]
        if name == b"ERROR":
            raise ZmtpError(self._mechanism.describe_refusal(data[1:]))
        if not self.is_ready:
            self._shake_hands(name, data)
        elif name == b"PING":
            self._answers += self._command(command_body(b"PONG", data[2 : 2 + MAX_PING_CONTEXT_BYTES]))

    def _shake_hands(self, name: bytes, data: bytes) -> None:
        if answer := self._mechanism.answer(name, data):
            self._answers += _command_frame(answer)
        self._is_sealed = self.is_ready and self._mechanism.encrypts
        self._is_plain = self.is_ready and not self._is_sealed

    def _seal(self, message: bytes) -> bytes:
        return frame(self._mechanism.seal(0, message))

    def _command(self, body: bytes) -> bytes:
        if self._mechanism.encrypts:
            return frame(self._mechanism.seal(_SEALED_COMMAND, body))
        return _command_frame(body)


def _checked_size(eight_bytes: bytes) -> int:
    size = int.from_bytes(eight_bytes, "big")
    if size > MAX_FRAME_BYTES:
        raise ZmtpError(f"announced a frame of {size} bytes; the limit is {MAX_FRAME_BYTES} bytes")
    return size
