"""The sessions of disconnected clients, until they return or their time is over. Pure, time is an argument."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from zmqio.recovery.session import RecoverableSession

__all__ = ["SuspendedSessions"]


@dataclass(slots=True)
class _Suspension:
    session: RecoverableSession
    until: float
    size_bytes: int


class SuspendedSessions:
    """Sessions by private id. The oldest are dropped when there are too many.

    Args:
        keep_s: seconds that a session is kept.
        max_sessions: most sessions kept.
        max_bytes: most bytes kept, estimated.
        on_end: called with each session that leaves, and why: `taken`, `expired` or `dropped`.

    Attributes:
        size_bytes: bytes kept now.
    """

    def __init__(
        self,
        keep_s: float,
        max_sessions: int,
        max_bytes: int,
        on_end: Callable[[RecoverableSession, str], None],
    ) -> None:
        self.size_bytes = 0
        self._keep_s = keep_s
        self._max_sessions = max_sessions
        self._max_bytes = max_bytes
        self._on_end = on_end
        self._by_pid: dict[str, _Suspension] = {}

    def __len__(self) -> int:
        return len(self._by_pid)

    def __contains__(self, pid: str) -> bool:
        return pid in self._by_pid

    def get(self, pid: str) -> RecoverableSession | None:
        """Return a session, which stays."""
        suspension = self._by_pid.get(pid)
        return None if suspension is None else suspension.session

    def __iter__(self) -> Iterator[RecoverableSession]:
        return iter([suspension.session for suspension in self._by_pid.values()])

    @property
    def next_expiry(self) -> float | None:
        """The time at which the oldest session expires; None if there is none."""
        return next((suspension.until for suspension in self._by_pid.values()), None)

    def add(self, session: RecoverableSession, now: float) -> None:
        """Keep a session from now on."""
        size = session.size_bytes
        self._by_pid[session.pid] = _Suspension(session, now + self._keep_s, size)
        self.size_bytes += size
        while len(self._by_pid) > self._max_sessions or self.size_bytes > self._max_bytes:
            self._remove(next(iter(self._by_pid)), "dropped")

    def take(self, pid: str, namespace: str, now: float) -> RecoverableSession | None:
        """Remove and return a session; None if it is unknown, or of another namespace, or its time is over."""
        suspension = self._by_pid.get(pid)
        if suspension is None or suspension.session.namespace != namespace or suspension.until <= now:
            return None
        return self._remove(pid, "taken")

    def expire(self, now: float) -> None:
        """Drop the sessions whose time is over."""
        while (until := self.next_expiry) is not None and until <= now:
            self._remove(next(iter(self._by_pid)), "expired")

    def _remove(self, pid: str, why: str) -> RecoverableSession:
        suspension = self._by_pid.pop(pid)
        self.size_bytes -= suspension.size_bytes
        self._on_end(suspension.session, why)
        return suspension.session
