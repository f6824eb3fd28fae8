"""Logs which nodes join and leave: one line for several at once. N nodes that start write N lines, not N x N.

Knows only the log; the clock is given.
"""

from typing import Any

from zmqio.logger import get_logger

__all__ = ["MemberLog"]

log = get_logger(__name__)

STARTUP_S = 2.0
"""Nodes that are found within this many seconds of the own start are logged at debug level only. They ran before,
or start together with this one; `nodes` of `node_started` counts them."""
QUIET_S = 0.5
"""Seconds without a further event after which the line about several events is written."""
LONGEST_S = 2.0
"""Seconds after the first event after which the line is written in any case."""


class MemberLog:
    """The log of one node about the others.

    Args:
        now: the time of the start.
    """

    def __init__(self, now: float) -> None:
        self._started_at = now
        self._joined = _Burst()
        self._left = _Burst()

    def joined(self, now: float, **facts: Any) -> None:
        """Note that a node has joined; `facts` describe it."""
        if now - self._started_at < STARTUP_S:
            log.debug("node_joined", **facts)
        else:
            self._joined.add(now, facts)

    def left(self, now: float, *, died: bool, **facts: Any) -> None:
        """Note that a node has left. One that died is logged at once."""
        if died:
            log.info("node_left", **facts)
        else:
            self._left.add(now, facts)

    def tick(self, now: float, nodes: int) -> None:
        """Write the lines that are due.

        Args:
            now: the time.
            nodes: number of live nodes, including this one.
        """
        if self._joined.is_due(now):
            log.info("node_joined", **self._joined.take(), nodes=nodes)
        if self._left.is_due(now):
            log.info("node_left", **self._left.take(), nodes=nodes)


class _Burst:
    """Events of one kind that are close together: the first one, and their number."""

    def __init__(self) -> None:
        self._facts: dict[str, Any] = {}
        self._count = 0
        self._first_at = self._last_at = 0.0

    def add(self, now: float, facts: dict[str, Any]) -> None:
        """Note an event."""
        if not self._count:
            self._facts, self._first_at = facts, now
        self._count += 1
        self._last_at = now

    def is_due(self, now: float) -> bool:
        """Whether there are events to log now."""
        return bool(self._count) and (now - self._last_at >= QUIET_S or now - self._first_at >= LONGEST_S)

    def take(self) -> dict[str, Any]:
        """Return the facts of the first event, with `times` if there were more, and begin again."""
        facts = self._facts if self._count == 1 else {**self._facts, "times": self._count}
        self._facts, self._count = {}, 0
        return facts
