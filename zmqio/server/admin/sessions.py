"""Sessions of the admin page: ids with which it logs in again without the password. Pure: time is an argument.

A node keeps the hash of each id only. Times are passed between nodes as seconds left, because clocks differ.
"""

import secrets
from hashlib import sha256

__all__ = ["MAX_SESSIONS", "SESSION_S", "AdminSessions", "digest_of"]

SESSION_S = 24 * 3600.0
MAX_SESSIONS = 1_000
ID_BYTES = 24


class AdminSessions:
    """The sessions that this node knows: its own, and those that other nodes have announced."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}

    def create(self, now_s: float) -> str:
        """Begin a session and return its id.

        Args:
            now_s: seconds of a monotonic clock.
        """
        session_id = secrets.token_urlsafe(ID_BYTES)
        self.add(digest_of(session_id), SESSION_S, now_s)
        return session_id

    def add(self, digest: str, left_s: float, now_s: float) -> None:
        """Add a session of another node. Beyond `MAX_SESSIONS`, the one that was added first is dropped.

        Args:
            digest: of its id.
            left_s: seconds until it ends; at most `SESSION_S` are believed.
            now_s: as above.
        """
        self._ends.pop(digest, None)
        self._ends[digest] = now_s + min(left_s, SESSION_S)
        if len(self._ends) > MAX_SESSIONS:
            del self._ends[next(iter(self._ends))]

    def left_s(self, digest: str, now_s: float) -> float:
        """Return the seconds until a session ends; 0 if it has ended or is unknown."""
        left_s = self._ends.get(digest, 0.0) - now_s
        if left_s <= 0:
            self._ends.pop(digest, None)
        return max(0.0, left_s)


def digest_of(session_id: str) -> str:
    """Return the hash of a session id."""
    return sha256(session_id.encode("utf-8", "surrogatepass")).hexdigest()
