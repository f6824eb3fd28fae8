"""The log of one link to a broker: each change of state once, and a reminder every minute while it is down."""

import asyncio
from collections.abc import Callable

from zmqio.log_limit import LogLimit
from zmqio.logger import get_logger

__all__ = ["LinkLog"]

log = get_logger(__name__)

FIRST_REMINDER_S = 5.0
REMINDER_S = 60.0
REFUSALS_BEFORE_LOGGING = 5
"""A stopping broker may refuse a few handshakes, too; fewer than this many in a row are not logged."""


class LinkLog:
    """Logs the state of one link.

    Args:
        loop: provides the time and the timer of the reminders.
        link: index of the link.
        address: address of the broker, or of several servers that are one.
        problem: returns why the link is not ready.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, link: int, address: str, problem: Callable[[], str]
    ) -> None:
        self._loop = loop
        self._problem = problem
        self._facts = {"link": link, "address": address}
        self._since_s = loop.time()
        self._was_ready = False
        self._epoch: bytes | None = None
        self._refusal_limit = LogLimit()
        self._refusals_in_a_row = 0
        log.info("broker_connecting", **self._facts)
        self._reminder = loop.call_later(FIRST_REMINDER_S, self._remind)

    def ready(self, **server: str) -> None:
        """Log that the broker is connected and has applied the subscriptions.

        A reconnection is logged at the level of the loss (warning), so that one filter shows both.

        Args:
            server: which of several servers it is, if the address names more than one.
        """
        self._reminder.cancel()
        self._refusals_in_a_row = 0
        if self._was_ready:
            log.warning("broker_reconnected", away_s=self._elapsed_s(), **server, **self._facts)
        else:
            log.info("broker_connected", waited_s=self._elapsed_s(), **server, **self._facts)
        self._was_ready = True
        self._since_s = self._loop.time()

    def lost(self, reason: str) -> None:
        """Log that a ready link was lost."""
        log.warning("broker_lost", reason=reason, up_s=self._elapsed_s(), **self._facts)
        self._since_s = self._loop.time()
        self._reminder = self._loop.call_later(REMINDER_S, self._remind)

    def timed_out(self, silent_s: float) -> None:
        """Log that a connected broker acknowledged nothing for `silent_s`, so that the link reconnects."""
        log.warning("broker_timed_out", silent_s=round(silent_s, 3), **self._facts)

    def epoch(self, epoch: bytes) -> None:
        """Log a restart of the broker: its epoch (8 random bytes a run) differs from the last one."""
        if self._epoch is not None and epoch != self._epoch:
            log.info("broker_restarted", epoch=epoch.hex(), previous=self._epoch.hex(), **self._facts)
        self._epoch = epoch

    def refused(self, reason: str) -> None:
        """Log, at most once a minute, that the peer at the address repeatedly completes no handshake."""
        self._refusals_in_a_row += 1
        if self._refusals_in_a_row < REFUSALS_BEFORE_LOGGING:
            return
        if times := self._refusal_limit.record(self._loop.time()):
            log.warning("broker_handshake_failed", reason=reason, times=times, **self._facts)

    def close(self) -> None:
        """Stop the reminders."""
        self._reminder.cancel()

    def _remind(self) -> None:
        log.warning("broker_unreachable", reason=self._problem(), waited_s=self._elapsed_s(), **self._facts)
        self._reminder = self._loop.call_later(REMINDER_S, self._remind)

    def _elapsed_s(self) -> float:
        return round(self._loop.time() - self._since_s, 3)
