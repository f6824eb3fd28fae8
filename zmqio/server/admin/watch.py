"""Whether somebody looks at the admin page of any node, and the rhythm in which a node reports to it.

While nobody looks, a node sends nothing and observes nothing.
"""

import asyncio
from collections.abc import Callable

__all__ = ["INTERVAL_S", "LASTS_S", "Watch"]

INTERVAL_S = 2.0
"""Seconds between two reports. Source: @socket.io/admin-ui 0.5."""
LASTS_S = 10.0
"""Seconds for which a page counts as open after a node has announced it: a lost announcement does no harm."""


class Watch:
    """Calls functions while somebody looks.

    Args:
        begin: called when somebody begins to look.
        report: called at once after `begin`, and then every `INTERVAL_S`.
        end: called when nobody has looked for `LASTS_S`, or on `stop`.
    """

    def __init__(self, begin: Callable[[], None], report: Callable[[], None], end: Callable[[], None]) -> None:
        self._begin = begin
        self._report = report
        self._end = end
        self._until_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def active(self) -> bool:
        """Whether somebody looks."""
        return self._timer is not None

    def extend(self) -> None:
        """Note that a page is open on some node now."""
        loop = asyncio.get_running_loop()
        self._until_s = loop.time() + LASTS_S
        if self._timer is None:
            self._timer = loop.call_later(INTERVAL_S, self._run)
            self._begin()
            self._report()

    def stop(self) -> None:
        """Stop: the server closes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._end()

    def _run(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= self._until_s:
            self.stop()
            return
        self._timer = loop.call_later(INTERVAL_S, self._run)
        self._report()
