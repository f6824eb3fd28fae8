"""Tell a second wish to stop from an echo of the first. Pure: time is an argument."""

__all__ = ["SAME_STOP_S", "StopRequests"]

SAME_STOP_S = 1.0
"""One stop may be told twice: systemd, or Ctrl-C in a terminal, signals every process of a group, and a supervisor
passes the signal on to its workers. Who loses patience takes longer than that."""


class StopRequests:
    """The signals to stop that one process got."""

    def __init__(self) -> None:
        self._first_at: float | None = None

    def again(self, now: float) -> bool:
        """Note a signal; True if somebody who has told us before insists.

        Args:
            now: seconds of any steady clock.
        """
        if self._first_at is None:
            self._first_at = now
        return now - self._first_at >= SAME_STOP_S
