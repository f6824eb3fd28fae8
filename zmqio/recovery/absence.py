"""Since when the client of a session may have missed packets. Pure, time is an argument.

The connection of a client that returns may end before the client has received what it missed. Packets are kept for
a limited time, which therefore counts from the first of such losses, not from the last one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zmqio.recovery.vector import Vector

__all__ = ["Absence"]


@dataclass(slots=True)
class Absence:
    """The absence of one client.

    Attributes:
        since: the client may have missed packets since this time; None if it missed nothing.
        lost_at: when its connection was lost; None while the client is connected.
        returned_at: when it last returned; None if it never did.
        backlog: the position of a client that has received all packets that it was sent at its last return.
    """

    since: float | None = None
    lost_at: float | None = None
    returned_at: float | None = None
    backlog: Vector | None = None

    def begin(self, now: float, notice_s: float) -> None:
        """Note that the connection was lost, unless that is known.

        Args:
            now: the time.
            notice_s: a connection that lasted for this many seconds has carried everything that was sent at its
                beginning: otherwise the server would have noticed that it was broken.
        """
        if self.lost_at is not None:
            return
        self.lost_at = now
        if self.since is None or (self.returned_at is not None and now - self.returned_at >= notice_s):
            self.since = now

    def claimed(self, offset: Vector, *, is_live: bool) -> None:
        """Note how far the client got before it lost its connection.

        Args:
            offset: the decoded offset with which it returns.
            is_live: whether the offset was made after the last return, behind the packets that were missed.
        """
        if is_live or offset == self.backlog:
            self.since = self.lost_at

    def end(self, backlog: Vector | None, now: float) -> None:
        """Note that the client has returned; `backlog` is None if it missed nothing."""
        self.lost_at, self.returned_at, self.backlog = None, now, backlog
        if backlog is None:
            self.since = None

    def seconds(self, now: float) -> float:
        """Seconds since which the client may have missed packets."""
        return 0.0 if self.since is None else max(0.0, now - self.since)

    def pack(self, now: float) -> list[Any]:
        """The values of a row for another node: ages stand for times."""
        times = self.since, self.lost_at, self.returned_at
        ages = [None if at is None else max(0.0, now - at) for at in times]
        return [*ages, None if self.backlog is None else dict(self.backlog)]

    @classmethod
    def read(cls, values: Sequence[Any], now: float) -> "Absence":
        """Read the values of `pack`.

        Raises:
            TypeError, ValueError: they are malformed.
        """
        *ages, backlog = values
        since, lost_at, returned_at = (None if age_s is None else now - float(age_s) for age_s in ages)
        return cls(since, lost_at, returned_at, None if backlog is None else dict(backlog))
