"""The pace at which a node sends subscriptions: as many as a broker accepts, with room for delays on the way.

A broker limits the subscriptions of each node (`--subscription-bytes`, N): N at once, and 2 N per second. A node
sends at most a third of N at once, and 1.5 N per second. So it stays within the limit even if what was delayed on
the way for up to 0.4 s arrives at once, or as much as the kernel's buffers hold, which is less than N by default.
"""

__all__ = ["DEFAULT_LIMIT_BYTES", "SendPace"]

DEFAULT_LIMIT_BYTES = 3 << 19
"""The broker's default, until its limit is known."""
BURST_SHARE = 1 / 3
"""Part of the limit that is sent at once. The rest of it is for delays."""
LIMITS_PER_S = 1.5
"""Bytes that are sent per second, in multiples of the limit: three quarters of those that a broker accepts."""


class SendPace:
    """Decides how much may be sent now.

    Args:
        now_s: seconds on any steady clock; the same clock in each call.
        limit_bytes: the broker's limit.
    """

    def __init__(self, now_s: float, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._updated_at_s = now_s
        self._allowed_bytes = limit_bytes * BURST_SHARE

    def set_limit(self, limit_bytes: int) -> None:
        """Use this limit from now on."""
        self._allowed_bytes += (limit_bytes - self._limit_bytes) * BURST_SHARE
        self._limit_bytes = limit_bytes

    def restart(self, now_s: float) -> None:
        """Begin again, on a new connection."""
        self._updated_at_s = now_s
        self._allowed_bytes = self._limit_bytes * BURST_SHARE

    def may_send(self, now_s: float) -> bool:
        """Whether anything may be sent; a single subscription may exceed the rest of what is allowed."""
        passed_s, self._updated_at_s = now_s - self._updated_at_s, now_s
        most_bytes = self._limit_bytes * BURST_SHARE
        self._allowed_bytes = min(most_bytes, self._allowed_bytes + passed_s * LIMITS_PER_S * self._limit_bytes)
        return self._allowed_bytes > 0

    def sent(self, size: int) -> bool:
        """Count bytes that are being sent; return whether more may be sent now."""
        self._allowed_bytes -= size
        return self._allowed_bytes > 0
