"""Limits on failed logins: of one address, and of all together. Pure: time is an argument."""

from zmqio.engine.session_limits import network_of

__all__ = ["MAX_FAILURES", "MAX_FAILURES_PER_ADDRESS", "WINDOW_S", "LoginAttempts"]

WINDOW_S = 60.0
MAX_FAILURES_PER_ADDRESS = 10
MAX_FAILURES = 100
"""Failed logins of all addresses in `WINDOW_S`: 20 s of CPU time on one core."""
MAX_ADDRESSES = 1_000
"""Addresses with a limit of their own; more than `MAX_FAILURES` cannot fail in one window."""


class LoginAttempts:
    """Counts failed logins. All addresses of an IPv6 /64 network count as one."""

    def __init__(self) -> None:
        self._all = _Window()
        self._by_network: dict[str, _Window] = {}

    def wait_s(self, address: str, now_s: float) -> float:
        """Return the seconds for which this address may not try to log in; 0 if it may.

        Args:
            address: of the client.
            now_s: seconds of a monotonic clock.
        """
        window = self._by_network.get(network_of(address))
        own_s = 0.0 if window is None else window.wait_s(MAX_FAILURES_PER_ADDRESS, now_s)
        return max(own_s, self._all.wait_s(MAX_FAILURES, now_s))

    def failed(self, address: str, now_s: float) -> None:
        """Count a failed login."""
        self._all.count(now_s)
        network = network_of(address)
        window = self._by_network.pop(network, None) or _Window()
        window.count(now_s)
        self._by_network[network] = window
        if len(self._by_network) > MAX_ADDRESSES:
            del self._by_network[next(iter(self._by_network))]


class _Window:
    """Failures since the first one within `WINDOW_S`."""

    __slots__ = ("_end_s", "_failures")

    def __init__(self) -> None:
        self._failures = 0
        self._end_s = 0.0

    def wait_s(self, most: int, now_s: float) -> float:
        return max(0.0, self._end_s - now_s) if self._failures >= most else 0.0

    def count(self, now_s: float) -> None:
        if now_s >= self._end_s:
            self._failures, self._end_s = 0, now_s + WINDOW_S
        self._failures += 1
