"""The heartbeats of all sessions: a schedule of pings and pong deadlines, and the one timer that runs it.

Every session has the same interval and time-out. Two queues in order of time are therefore enough, and each
operation takes constant time however many sessions there are.

Knows nothing of sessions: members are any hashable objects.

Source: Engine.IO protocol v4, "Heartbeat": the server pings, the client answers within `pingTimeout`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.timer_grid import next_on_grid

__all__ = ["HeartbeatSchedule", "HeartbeatTimer"]

log = LimitedLog(get_logger(__name__))

# Most pings and most expiries handled in one turn of the event loop.
BATCH = 200

# The interval has so many steps (of one second with the default of 25). Pings and expiries of one step are handled
# together: most of their cost is to wake up the process.
STEPS = 25

T = TypeVar("T")


class HeartbeatSchedule(Generic[T]):
    """The times of the sessions' next pings, and the deadlines of their pongs. Pure: the caller passes the time.

    Args:
        interval_s: seconds from the handshake, or from a pong, to the next ping.
        timeout_s: seconds from a ping until its pong is overdue.

    Attributes:
        step_s: seconds by which a ping or an expiry may be late, so that several are handled together.
    """

    def __init__(self, interval_s: float, timeout_s: float) -> None:
        self.step_s = interval_s / STEPS
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._pings: OrderedDict[T, float] = OrderedDict()
        self._answers: OrderedDict[T, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pings) + len(self._answers)

    def schedule(self, member: T, now_s: float) -> float:
        """Schedule a ping of a new or known member in one interval; no pong is due until then.

        Returns:
            the time of the ping.
        """
        self._answers.pop(member, None)
        due_s = self._pings[member] = now_s + self._interval_s
        self._pings.move_to_end(member)
        return due_s

    def extend(self, member: T, now_s: float) -> None:
        """Restart the time-out of a member whose pong is due; does nothing for others."""
        if member in self._answers:
            self._answers[member] = now_s + self._timeout_s
            self._answers.move_to_end(member)

    def remove(self, member: T) -> None:
        """Forget a member; does nothing if it is unknown."""
        self._pings.pop(member, None)
        self._answers.pop(member, None)

    def take_due(self, now_s: float, most: int) -> list[T]:
        """Return at most `most` members whose ping is due, and start their time-outs."""
        due = _take(self._pings, now_s, most)
        for member in due:
            self._answers[member] = now_s + self._timeout_s
        return due

    def take_expired(self, now_s: float, most: int) -> list[T]:
        """Remove and return at most `most` members whose pong is overdue."""
        return _take(self._answers, now_s, most)

    def next_s(self) -> float | None:
        """The next due time; None without members."""
        heads = [next(iter(queue.values())) for queue in (self._pings, self._answers) if queue]
        return min(heads, default=None)


class HeartbeatTimer(Generic[T]):
    """Calls `ping` and `expire` at the times of a schedule, with one timer.

    Args:
        schedule: the due times.
        ping: called with each member whose ping is due.
        expire: called with each member whose pong is overdue; the schedule has already forgotten it.
    """

    def __init__(
        self, schedule: HeartbeatSchedule[T], ping: Callable[[T], None], expire: Callable[[T], None]
    ) -> None:
        self._schedule = schedule
        self._ping = ping
        self._expire = expire
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0  # uvloop's handles have no `when()` if they are due at once

    def begin(self, member: T) -> None:
        """Schedule a ping in one interval: after the handshake, and after each pong."""
        loop = asyncio.get_running_loop()
        due_s = self._schedule.schedule(member, loop.time())
        if self._timer is not None and due_s + self._schedule.step_s < self._timer_s:
            self.stop()
        if self._timer is None:
            self._arm(loop)

    def extend(self, member: T) -> None:
        """Restart the time-out of a member whose pong is due; it has sent something else."""
        self._schedule.extend(member, asyncio.get_running_loop().time())

    def forget(self, member: T) -> None:
        """Forget a member; its session has ended."""
        self._schedule.remove(member)

    def stop(self) -> None:
        """Stop the timer; `ping` and `expire` are no longer called."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        at = self._schedule.next_s()
        if at is None:
            self._timer = None
            return
        # What is overdue, because a batch was full, is handled in the next turn.
        self._timer_s = at if at <= loop.time() else next_on_grid(at, self._schedule.step_s)
        self._timer = loop.call_at(self._timer_s, self._tick)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        try:
            _call_each(self._expire, self._schedule.take_expired(now, BATCH))
            _call_each(self._ping, self._schedule.take_due(now, BATCH))
        finally:
            self._arm(loop)


def _call_each(act: Callable[[T], None], members: Iterable[T]) -> None:
    for member in members:
        try:
            act(member)
        except Exception:
            log.error("session_heartbeat_failed", exc_info=True)


def _take(queue: OrderedDict[T, float], now_s: float, most: int) -> list[T]:
    taken: list[T] = []
    while queue and len(taken) < most:
        member, due_s = next(iter(queue.items()))
        if due_s > now_s:
            break
        del queue[member]
        taken.append(member)
    return taken
