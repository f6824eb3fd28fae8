"""A limit on the packets that wait for one client of python-socketio, whose own queue has none. Pure."""

from collections import deque
from collections.abc import Sequence

from zmqio.config import ManagerOptions
from zmqio.engine.session import HARD_LIMIT_FACTOR

__all__ = ["ClientQueue"]


class ClientQueue:
    """The sizes of the packets that wait in one client's queue.

    The queue belongs to python-engineio, which empties it without notice. Its length is therefore passed to
    `admit`. Packets that python-socketio itself puts in it count by number, not by size.

    Args:
        options: `session_buffer_bytes`, `session_buffer_packets` and `slow_client_grace_s`.
    """

    __slots__ = ("_full_since_s", "_options", "_size_bytes", "_sizes")

    def __init__(self, options: ManagerOptions) -> None:
        self._options = options
        self._sizes: deque[int] = deque()
        self._size_bytes = 0
        self._full_since_s: float | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes that wait, as of the last `admit`."""
        return self._size_bytes

    def admit(self, queued: int, sizes: Sequence[int], now_s: float) -> bool:
        """Count packets that are about to be queued.

        Args:
            queued: packets in the queue now.
            sizes: bytes of each new packet.
            now_s: a monotonic time.

        Returns:
            Whether the client may stay. False: it has exceeded a limit for longer than the grace period, or ten
            times a limit.
        """
        waiting = self._sizes
        while len(waiting) > queued:
            self._size_bytes -= waiting.popleft()
        waiting.extend(sizes)
        self._size_bytes += sum(sizes)
        packets = queued + len(sizes)
        options = self._options
        if packets <= options.session_buffer_packets and self._size_bytes <= options.session_buffer_bytes:
            self._full_since_s = None
            return True
        if (
            not options.slow_client_grace_s
            or packets > HARD_LIMIT_FACTOR * options.session_buffer_packets
            or self._size_bytes > HARD_LIMIT_FACTOR * options.session_buffer_bytes
        ):
            return False
        if self._full_since_s is None:
            self._full_since_s = now_s
        return now_s - self._full_since_s <= options.slow_client_grace_s
