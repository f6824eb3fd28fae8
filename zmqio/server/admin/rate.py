"""The limit on events that one node sends to admin pages. Pure: time is an argument."""

__all__ = ["MAX_EVENTS_PER_S", "MAX_TRAFFIC_PER_S", "EventRate"]

MAX_EVENTS_PER_S = 500
MAX_TRAFFIC_PER_S = 400
"""Events of clients that are sent; the rest is left for changes of sockets and rooms, which the page adds up."""


class EventRate:
    """Counts the events of each second, and those that are left out.

    Attributes:
        omitted: events left out since the last `take_omitted`.
        omitted_changes: those of them that the page would have needed to show the right sockets and rooms.
    """

    def __init__(self) -> None:
        self.omitted = 0
        self.omitted_changes = 0
        self._second = 0
        self._sent = 0

    def allow(self, now_s: float, *, change: bool) -> bool:
        """Whether one more event may be sent; counts it in either case.

        Args:
            now_s: seconds of a clock.
            change: whether it changes the sockets or rooms that the page shows.
        """
        if int(now_s) != self._second:
            self._second, self._sent = int(now_s), 0
        if self._sent < (MAX_EVENTS_PER_S if change else MAX_TRAFFIC_PER_S):
            self._sent += 1
            return True
        self.omitted += 1
        self.omitted_changes += change
        return False

    def take_omitted(self) -> tuple[int, int]:
        """Return `omitted` and `omitted_changes`, and begin to count again."""
        omitted = self.omitted, self.omitted_changes
        self.omitted = self.omitted_changes = 0
        return omitted
