"""Flow control for one direction of a relayed WebSocket: sequence numbers and a window in bytes. Pure.

The sender may have at most a window of bytes in flight: sent, but not yet consumed at the other end. The last
message may exceed the window, so that a message of any size gets through.
"""

from zmqio.engine.packets import utf8_size

__all__ = ["WINDOW_BYTES", "FlowError", "ReceiveWindow", "SendWindow", "frame_size"]

WINDOW_BYTES = 256 << 10
"""Window of each direction of each stream. It sustains 250 Mbit/s at a round trip of 8 ms."""


class FlowError(Exception):
    """The other end broke the protocol, or a message is missing; the stream cannot continue."""


class SendWindow:
    """The sending side.

    Args:
        window_bytes: most bytes in flight.
    """

    __slots__ = ("_consumed_bytes", "_next_seq", "_sent_bytes", "_window_bytes")

    def __init__(self, window_bytes: int) -> None:
        self._window_bytes = window_bytes
        self._next_seq = 0
        self._sent_bytes = 0
        self._consumed_bytes = 0

    @property
    def is_open(self) -> bool:
        """Whether one more message may be sent."""
        return self._sent_bytes - self._consumed_bytes < self._window_bytes

    def resize(self, window_bytes: int) -> None:
        """Set the window that the other end has announced."""
        self._window_bytes = window_bytes

    def add(self, size_bytes: int) -> None:
        """Count a message as sent."""
        self._sent_bytes += size_bytes

    def next_seq(self) -> int:
        """Return the sequence number of the next `StreamData`."""
        self._next_seq += 1
        return self._next_seq - 1

    def acknowledge(self, total_bytes: int) -> None:
        """Record how many bytes the other end has consumed since the stream began."""
        self._consumed_bytes = min(max(self._consumed_bytes, total_bytes), self._sent_bytes)


class ReceiveWindow:
    """The receiving side.

    Args:
        window_bytes: the window announced to the other end.
    """

    __slots__ = ("_consumed_bytes", "_credited_bytes", "_next_seq", "_received_bytes", "_window_bytes")

    def __init__(self, window_bytes: int) -> None:
        self._window_bytes = window_bytes
        self._next_seq = 0
        self._received_bytes = 0
        self._consumed_bytes = 0
        self._credited_bytes = 0

    def accept(self, seq: int, sizes: list[int]) -> bool:
        """Count received messages; False if they are a duplicate.

        Args:
            seq: sequence number of the `StreamData`.
            sizes: bytes of each of its messages.

        Raises:
            FlowError: earlier messages are missing, or these exceed the window.
        """
        if seq < self._next_seq:
            return False
        if seq > self._next_seq:
            raise FlowError(f"message {self._next_seq} of the stream is missing")
        self._next_seq += 1
        self._received_bytes += sum(sizes)
        if self._received_bytes - self._consumed_bytes - max(sizes, default=0) > self._window_bytes:
            raise FlowError(f"received more than the window of {self._window_bytes} bytes")
        return True

    def consume(self, size_bytes: int) -> int | None:
        """Count a message as consumed.

        Returns:
            The total to send as credit, once per half a window; otherwise None.
        """
        self._consumed_bytes += size_bytes
        if self._consumed_bytes - self._credited_bytes < self._window_bytes // 2:
            return None
        self._credited_bytes = self._consumed_bytes
        return self._consumed_bytes


def frame_size(frame: str | bytes) -> int:
    """Return what a WebSocket message counts in a window: its bytes, or those of its UTF-8 form."""
    return utf8_size(frame) if isinstance(frame, str) else len(frame)
