"""One timer for the heartbeats of all sessions of an engine."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from zmqio.engine.wheel import HeartbeatSchedule

__all__ = ["Heartbeat"]

# Most sessions that are handled before the loop turns again, when many came in the same moment.
BATCH = 200

T = TypeVar("T")


class Heartbeat(Generic[T]):
    """Calls `ping` and `expire` at the times that a wheel gives.

    Args:
        wheel: the due times.
        ping: called with each member that is to be pinged.
        expire: called with each member that did not answer in time; it is forgotten already.
    """

    def __init__(
        self, wheel: HeartbeatSchedule[T], ping: Callable[[T], None], expire: Callable[[T], None]
    ) -> None:
        self._wheel = wheel
        self._ping = ping
        self._expire = expire
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0  # kept here: a uvloop handle that is due at once has no `when()`

    def begin(self, member: T) -> None:
        """The handshake is done, or an answer has come: ping one interval from now."""
        loop = asyncio.get_running_loop()
        due_s = self._wheel.schedule(member, loop.time())
        if self._timer is not None and due_s < self._timer_s:
            self.stop()
        if self._timer is None:
            self._arm(loop)

    def extend(self, member: T) -> None:
        """The client was heard while it owed an answer: give it its time again."""
        self._wheel.extend(member, asyncio.get_running_loop().time())

    def forget(self, member: T) -> None:
        """The session has ended."""
        self._wheel.remove(member)

    def stop(self) -> None:
        """Stop the timer; nothing is called any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        at = self._wheel.next_s()
        if at is None:
            self._timer = None
            return
        self._timer_s = at
        self._timer = loop.call_at(at, self._tick)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        try:
            for member in self._wheel.take_expired(now, BATCH):
                self._expire(member)
            for member in self._wheel.take_due(now, BATCH):
                self._ping(member)
        finally:
            self._arm(loop)
