"""The queue of packets that a client has not taken yet, counted in bytes and packets. Pure.

A session creates one when a packet must wait, and drops it when it is empty. An idle client has none.
"""

from collections import deque
from collections.abc import Sequence

from zmqio.engine.packets import Prepared

__all__ = ["SendBuffer"]


class SendBuffer:
    """Packets in the order in which they must reach the client.

    This class counts and never refuses; the session enforces the limits.

    Attributes:
        size_bytes: buffered bytes.
        packets: buffered Engine.IO packets.
    """

    __slots__ = ("_queue", "packets", "size_bytes")

    def __init__(self) -> None:
        self._queue: deque[Prepared] = deque()
        self.size_bytes = 0
        self.packets = 0

    def __bool__(self) -> bool:
        return bool(self._queue)

    def own_bytes(self) -> int:
        """Bytes of the buffered packets that no other session has; takes time in proportion to their number."""
        return sum(prepared.size_bytes for prepared in self._queue if not prepared.is_shared)

    def append(self, prepared: Prepared) -> None:
        """Append packets."""
        self._queue.append(prepared)
        self.size_bytes += prepared.size_bytes
        self.packets += prepared.packet_count

    def pop(self) -> Prepared:
        """Remove and return the oldest packets."""
        prepared = self._queue.popleft()
        self.size_bytes -= prepared.size_bytes
        self.packets -= prepared.packet_count
        return prepared

    def take_for_poll(self, max_bytes: int, max_packets: int) -> list[Prepared]:
        """Remove and return what fits in one polling body; at least one item, even if it exceeds the limits."""
        taken = [self.pop()]
        size = len(taken[0].polling)
        packets = taken[0].packet_count
        while self._queue:
            head = self._queue[0]
            size += 1 + len(head.polling)
            packets += head.packet_count
            if size > max_bytes or packets > max_packets:
                break
            taken.append(self.pop())
        return taken

    def put_back(self, taken: Sequence[Prepared]) -> None:
        """Put unsent packets back to the front, in their former order."""
        for prepared in reversed(taken):
            self._queue.appendleft(prepared)
            self.size_bytes += prepared.size_bytes
            self.packets += prepared.packet_count
