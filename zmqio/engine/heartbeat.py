"""The heartbeats of all sessions: a schedule of pings and pong deadlines, and the one timer that runs it.

Every session has the same interval and time-out. Two queues in order of time are therefore enough, and each
operation takes constant time however many sessions there are.

Knows nothing of sessions: members are any hashable objects.

Source: Engine.IO protocol v4, "Heartbeat": the server pings, the client answers within `pingTimeout`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Heartbeat", "HeartbeatSchedule"]

# Most pings and most expiries handled in one turn of the event loop.
BATCH = 200

T = TypeVar("T")


class HeartbeatSchedule(Generic[T]):
    """Due times of pings and of their answers.

    Args:
        interval_s: seconds from the handshake, or from an answer, to the next ping.
        timeout_s: seconds that a client may take to answer.
    """

    def __init__(self, interval_s: float, timeout_s: float) -> None:
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._pings: OrderedDict[T, float] = OrderedDict()
        self._answers: OrderedDict[T, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pings) + len(self._answers)

    def schedule(self, member: T, now_s: float) -> float:
        """Ping `member` one interval from now; it owes no answer until then. New members begin so, too.

        Returns:
            when that will be.
        """
        self._answers.pop(member, None)
        due_s = self._pings[member] = now_s + self._interval_s
        self._pings.move_to_end(member)
        return due_s

    def extend(self, member: T, now_s: float) -> None:
        """Give a member that owes an answer its whole time again; does nothing for others."""
        if member in self._answers:
            self._answers[member] = now_s + self._timeout_s
            self._answers.move_to_end(member)

    def remove(self, member: T) -> None:
        """Forget a member; does nothing when it is not known."""
        self._pings.pop(member, None)
        self._answers.pop(member, None)

    def take_due(self, now_s: float, most: int) -> list[T]:
        """Take at most `most` members that are to be pinged now; each owes an answer from now on."""
        due = _take(self._pings, now_s, most)
        for member in due:
            self._answers[member] = now_s + self._timeout_s
        return due

    def take_expired(self, now_s: float, most: int) -> list[T]:
        """Take at most `most` members whose answer did not come in time; they are forgotten."""
        return _take(self._answers, now_s, most)

    def next_s(self) -> float | None:
        """When something is due next, or None when there is nobody."""
        heads = [next(iter(queue.values())) for queue in (self._pings, self._answers) if queue]
        return min(heads, default=None)


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


def _take(queue: OrderedDict[T, float], now_s: float, most: int) -> list[T]:
    taken: list[T] = []
    while queue and len(taken) < most:
        member, due_s = next(iter(queue.items()))
        if due_s > now_s:
            break
        del queue[member]
        taken.append(member)
    return taken
