"""The input of one WebSocket connection: slices of large input, fragments of a message, pongs. Pure.

One read may return 256 KB. As 43,000 pings, they would block the event loop for 0.4 s. The rest of a frame whose
header was parsed is never sliced, because it costs no more than a copy.
"""

from collections.abc import Callable, Iterable
from typing import Any

from websockets import frames

__all__ = [
    "COMPRESSED_SLICE_BYTES",
    "MAX_FRAGMENTS",
    "SLICE_BYTES",
    "FragmentedMessage",
    "SlicedInput",
    "bytes_to_frame_end",
    "is_between_frames",
    "split_pongs",
    "whole_text",
]

SLICE_BYTES = 4096
"""Input in which new frames may begin, parsed in one iteration of the event loop: 680 frames, some 6 ms."""
COMPRESSED_SLICE_BYTES = 1024
"""The same for a connection with compression: its frames grow to 1 MB at most, as one message may have."""
MAX_FRAGMENTS = 16_384
"""Most frames of one message. Clients that fragment use frames of at least some hundred bytes."""
_PONG = 0x8A  # FIN and opcode 10
_TEXT = 0x81  # FIN and opcode 1, no extension
_MASKED = 0x80
_SHORT_BYTES = 125  # the largest payload whose length fits in the second byte of a frame
_SHORT_HEADER, _LONG_HEADER = 6, 8  # with the mask; the longer one has two bytes for the length
_unmask: Callable[[bytes, bytes], bytes] | None = getattr(frames, "apply_mask", None)


class SlicedInput:
    """Received bytes of which slices are taken.

    Args:
        data: not empty.

    Attributes:
        is_scheduled: whether the next slice will be taken in the next iteration of the event loop.
    """

    __slots__ = ("_rest", "is_scheduled")

    def __init__(self, data: bytes) -> None:
        self.is_scheduled = False
        self._rest = memoryview(data)

    def __bool__(self) -> bool:
        return bool(self._rest)

    def add(self, data: bytes) -> None:
        """Append bytes."""
        self._rest = memoryview(bytes(self._rest) + data)

    def take(self, size: int) -> memoryview:
        """Remove and return the next slice, of `size` bytes or all that is left."""
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


class FragmentedMessage:
    """A message of which the last frame has not arrived; an empty frame takes no memory.

    Attributes:
        data: the bytes that have arrived.
        fragments: number of frames.
        is_text: whether it is a text message.
    """

    __slots__ = ("data", "fragments", "is_text")

    def __init__(self, data: bytes | bytearray, *, is_text: bool) -> None:
        self.data = bytearray(data)
        self.fragments = 1
        self.is_text = is_text

    def add(self, data: bytes | bytearray) -> None:
        """Append the payload of a frame."""
        self.data += data
        self.fragments += 1


def whole_text(data: bytes) -> bytes | None:
    """Return the payload of a text message that is exactly `data`: one masked frame, of at most 64 KiB.

    A client's event mostly arrives like this. Reading it here takes a fifth of the time of the parser of
    websockets, which makes a chain of generators for each frame.

    Args:
        data: received bytes that begin with a frame.

    Returns:
        The payload; None if `data` is anything else, which the parser must read.
    """
    size = len(data) - _SHORT_HEADER
    if size < 0 or data[0] != _TEXT or _unmask is None:
        return None
    if size <= _SHORT_BYTES:
        return _unmask(data[6:], data[2:6]) if data[1] == _MASKED | size else None
    size = len(data) - _LONG_HEADER
    if data[1] != _MASKED | 126 or data[2] << 8 | data[3] != size or size <= _SHORT_BYTES:
        return None
    return _unmask(data[8:], data[4:8])


def is_between_frames(conn: Any) -> bool:
    """Whether the parser has read whole frames only, so that the next byte begins a frame; False if unknown.

    Args:
        conn: `websockets.protocol.Protocol`.
    """
    return getattr(getattr(_waiting_generator(conn), "gi_code", None), "co_name", "") == "at_eof"


def bytes_to_frame_end(conn: Any) -> int:
    """Return how many bytes the parser waits for before another frame can begin; 0 if that is unknown.

    The parser of websockets is a chain of generators. The last one waits until its reader has `n` bytes.

    Args:
        conn: `websockets.protocol.Protocol`.
    """
    frame = getattr(_waiting_generator(conn), "gi_frame", None)
    wanted = frame.f_locals.get("n") if frame is not None else None
    buffered = getattr(getattr(conn, "reader", None), "buffer", None)
    if not isinstance(wanted, int) or buffered is None:
        return 0
    return max(wanted - len(buffered), 0)


def split_pongs(frames: Iterable[bytes]) -> tuple[bytes | None, bytes]:
    """Return the last pong among encoded frames, or None, and all other frames, joined.

    One pong answers all pings before it. Source: RFC 6455, section 5.5.3.
    """
    pong, others = None, []
    for frame in frames:
        if frame[:1] and frame[0] == _PONG:
            pong = frame
        else:
            others.append(frame)
    return pong, b"".join(others)


def _waiting_generator(conn: Any) -> Any:
    generator = getattr(conn, "parser", None)
    while (inner := getattr(generator, "gi_yieldfrom", None)) is not None:
        generator = inner
    return generator
