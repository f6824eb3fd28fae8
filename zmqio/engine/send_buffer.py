"""What waits for one client: a queue that is bounded in bytes and packets. Pure.

A session makes one when something has to wait, and drops it when it is empty, so an idle client holds none.
"""

from collections import deque
from collections.abc import Sequence

from zmqio.engine.packets import Prepared

__all__ = ["SendBuffer"]


class SendBuffer:
    """Packets in the order in which they have to reach the client.

    The bounds are the session's to watch: this class counts, and never refuses.

    Attributes:
        size_bytes: bytes that wait.
        packets: Engine.IO packets that wait.
    """

    __slots__ = ("_waiting", "packets", "size_bytes")

    def __init__(self) -> None:
        self._waiting: deque[Prepared] = deque()
        self.size_bytes = 0
        self.packets = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def append(self, prepared: Prepared) -> None:
        """Put packets behind what waits already."""
        self._waiting.append(prepared)
        self.size_bytes += prepared.size_bytes
        self.packets += prepared.packet_count

    def pop(self) -> Prepared:
        """Take what has waited longest."""
        prepared = self._waiting.popleft()
        self.size_bytes -= prepared.size_bytes
        self.packets -= prepared.packet_count
        return prepared

    def take_for_poll(self, max_bytes: int, max_packets: int) -> list[Prepared]:
        """Take what fits in one polling body; at least one, so that a large packet does not wait forever."""
        taken = [self.pop()]
        size = len(taken[0].polling)
        packets = taken[0].packet_count
        while self._waiting:
            head = self._waiting[0]
            size += 1 + len(head.polling)
            packets += head.packet_count
            if size > max_bytes or packets > max_packets:
                break
            taken.append(self.pop())
        return taken

    def put_back(self, taken: Sequence[Prepared]) -> None:
        """Put what could not be sent back to the front, in its old order."""
        for prepared in reversed(taken):
            self._waiting.appendleft(prepared)
            self.size_bytes += prepared.size_bytes
            self.packets += prepared.packet_count
