"""Detects child processes that hang: the rule by which their heartbeats are counted.

A child process sends a heartbeat from its event loop every `HEARTBEAT_S`. A process that is stopped (SIGSTOP), or
whose loop is blocked, sends none.
"""

import asyncio

from zmqio.timer_grid import next_on_grid

__all__ = ["CHECK_INTERVAL_S", "HEARTBEAT_S", "STALLED_AFTER_S", "Silence", "until_next_check"]

HEARTBEAT_S = 0.5
"""Seconds between two heartbeats of a child process."""
CHECK_INTERVAL_S = 0.5
"""Seconds between two calls of `Silence.count`."""
STALLED_AFTER_S = 2.0
"""Seconds without a heartbeat after which a process counts as stalled."""


async def until_next_check() -> None:
    """Wait at most `CHECK_INTERVAL_S`; all that wait are woken together."""
    loop = asyncio.get_running_loop()
    due = asyncio.Event()
    # Not `asyncio.sleep`: it adds its delay to a later reading of the clock, so that each timer has its own time.
    timer = loop.call_at(next_on_grid(loop.time(), CHECK_INTERVAL_S), due.set)
    try:
        await due.wait()
    finally:
        timer.cancel()


class Silence:
    """The time since the last heartbeat of one process, counted in checks.

    The time is not read from a clock. If the observer itself is stopped for a minute, it counts at most one check
    for that minute, and the heartbeats wait in its sockets.

    Attributes:
        seconds: length of the silence.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    @property
    def is_long(self) -> bool:
        """Whether the process counts as stalled."""
        return self.seconds >= STALLED_AFTER_S

    def count(self) -> None:
        """Count one check interval."""
        self.seconds += CHECK_INTERVAL_S

    def end(self) -> None:
        """Record a heartbeat."""
        self.seconds = 0.0
