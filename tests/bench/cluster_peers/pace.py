"""The pace of a flood, the same for every Python node."""

import asyncio

__all__ = ["SLICE", "Pace"]

SLICE = 50
"""Messages of an unpaced flood between two turns of the loop."""


class Pace:
    """Messages become due at fixed moments; late ones are sent at once.

    Args:
        per_second: messages per second; 0 for no limit.
    """

    def __init__(self, per_second: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._interval_s = 1 / per_second if per_second else 0.0
        self._due_s = self._loop.time()

    async def next(self) -> None:
        """Return when the next message is due."""
        self._due_s += self._interval_s
        await asyncio.sleep(max(self._due_s - self._loop.time(), 0) if self._interval_s else 0)
