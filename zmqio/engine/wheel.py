"""The heartbeats of all sessions: who is to be pinged when, and who has not answered in time. Pure.

Every session waits equally long, so two queues in order of time are enough, and each step costs the same however
many sessions there are. Times are given by the caller.

Source: Engine.IO protocol v4, "Heartbeat": the server pings, the client answers within `pingTimeout`.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

__all__ = ["HeartbeatSchedule"]

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


def _take(queue: OrderedDict[T, float], now_s: float, most: int) -> list[T]:
    taken: list[T] = []
    while queue and len(taken) < most:
        member, due_s = next(iter(queue.items()))
        if due_s > now_s:
            break
        del queue[member]
        taken.append(member)
    return taken
