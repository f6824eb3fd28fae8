"""The two directions of a WebSocket between two nodes, as numbers: sequence, and how much is under way. Pure.

Who sends may have `window_bytes` on their way that the other end has not handed on; the last message may go over
it, so that a message of any size passes.
"""

from zmqio.engine.packets import utf8_size

__all__ = ["WINDOW_BYTES", "FlowError", "ReceiveWindow", "SendWindow", "frame_size"]

WINDOW_BYTES = 256 << 10
"""Of each direction of each stream. Fills 250 Mbit/s at a round trip of 8 ms."""


class FlowError(Exception):
    """The other end broke the rules, or a message is missing: the stream cannot go on."""


class SendWindow:
    """What leaves.

    Args:
        window_bytes: most bytes that are under way.
    """

    __slots__ = ("_next_seq", "_sent_bytes", "_taken_bytes", "_window_bytes")

    def __init__(self, window_bytes: int) -> None:
        self._window_bytes = window_bytes
        self._next_seq = 0
        self._sent_bytes = 0
        self._taken_bytes = 0

    @property
    def is_open(self) -> bool:
        """Whether one more message may leave."""
        return self._sent_bytes - self._taken_bytes < self._window_bytes

    def widen(self, window_bytes: int) -> None:
        """The other end says how much it takes."""
        self._window_bytes = window_bytes

    def add(self, size_bytes: int) -> None:
        """A message leaves."""
        self._sent_bytes += size_bytes

    def next_seq(self) -> int:
        """The number of the next `StreamData`."""
        self._next_seq += 1
        return self._next_seq - 1

    def taken(self, total_bytes: int) -> None:
        """The other end has handed on so much since the beginning."""
        self._taken_bytes = min(max(self._taken_bytes, total_bytes), self._sent_bytes)


class ReceiveWindow:
    """What comes.

    Args:
        window_bytes: what the other end was told.
    """

    __slots__ = ("_come_bytes", "_next_seq", "_taken_bytes", "_told_bytes", "_window_bytes")

    def __init__(self, window_bytes: int) -> None:
        self._window_bytes = window_bytes
        self._next_seq = 0
        self._come_bytes = 0
        self._taken_bytes = 0
        self._told_bytes = 0

    def accept(self, seq: int, sizes: list[int]) -> bool:
        """Messages came; False if they had come before.

        Raises:
            FlowError: some before them are missing, or it is more than the window.
        """
        if seq < self._next_seq:
            return False
        if seq > self._next_seq:
            raise FlowError(f"message {self._next_seq} of the stream is missing")
        self._next_seq += 1
        self._come_bytes += sum(sizes)
        if self._come_bytes - self._taken_bytes - max(sizes, default=0) > self._window_bytes:
            raise FlowError(f"more than {self._window_bytes} bytes came unasked")
        return True

    def take(self, size_bytes: int) -> int | None:
        """A message was handed on; returns the total to tell the other end, now and then."""
        self._taken_bytes += size_bytes
        if self._taken_bytes - self._told_bytes < self._window_bytes // 2:
            return None
        self._told_bytes = self._taken_bytes
        return self._taken_bytes


def frame_size(frame: str | bytes) -> int:
    """What a message counts for."""
    return utf8_size(frame) if isinstance(frame, str) else len(frame)
