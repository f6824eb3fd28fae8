"""The input of one WebSocket connection: slices of large input, fragments of a message, pongs. Pure.

One read may return 256 KB. As 43,000 pings, they would block the event loop for 0.4 s.
"""

from collections.abc import Iterable

__all__ = ["MAX_FRAGMENTS", "SLICE_BYTES", "FragmentedMessage", "SlicedInput", "split_pongs"]

SLICE_BYTES = 4096
"""Input that is parsed in one iteration of the event loop: at most 680 frames, some 6 ms."""
MAX_FRAGMENTS = 16_384
"""Most frames of one message. Clients that fragment use frames of at least some hundred bytes."""
_PONG = 0x8A  # FIN and opcode 10


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

    def take(self) -> memoryview:
        """Remove and return the next slice."""
        taken, self._rest = self._rest[:SLICE_BYTES], self._rest[SLICE_BYTES:]
        return taken


class FragmentedMessage:
    """A message of which the last frame has not arrived; an empty frame takes no memory.

    Attributes:
        data: what has arrived.
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
