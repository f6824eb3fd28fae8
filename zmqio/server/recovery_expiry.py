"""A timer that gives back the memory of packets and sessions that are too old to be recovered."""

import asyncio

from zmqio.recovery.store import RecoveryStore

__all__ = ["RecoveryExpiry"]

INTERVAL_S = 1.0


class RecoveryExpiry:
    """Calls `expire` of a store once per second.

    Args:
        store: the store.
        interval_s: seconds between two calls.
    """

    def __init__(self, store: RecoveryStore, interval_s: float = INTERVAL_S) -> None:
        self._store = store
        self._interval_s = interval_s
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._expire)

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._store.expire()
        self.start()
