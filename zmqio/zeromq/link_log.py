"""What an operator reads of one link: said once when it changes, and once a minute while it is down."""

import asyncio
from collections.abc import Callable

import structlog

from zmqio.log_limit import LogLimit

__all__ = ["LinkLog"]

log = structlog.get_logger(__name__)

FIRST_REMINDER_S = 5.0
REMINDER_S = 60.0
REFUSALS_TO_TELL = 5


class LinkLog:
    """Writes the log of one link.

    Args:
        loop: tells the time and reminds.
        link: index of the link.
        address: base address of the broker.
        trouble: tells why the link is not ready.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, link: int, address: str, trouble: Callable[[], str]
    ) -> None:
        self._loop = loop
        self._trouble = trouble
        self._facts = {"link": link, "address": address}
        self._since_s = loop.time()
        self._was_ready = False
        self._epoch: bytes | None = None
        self._refusals = LogLimit()
        self._refused_in_a_row = 0
        log.info("bus_connecting", **self._facts)
        self._reminder = loop.call_later(FIRST_REMINDER_S, self._remind)

    def ready(self) -> None:
        """The broker is there and has applied the subscriptions.

        Its return is as loud as its loss: who is woken by the one wants to see the other.
        """
        self._reminder.cancel()
        self._refused_in_a_row = 0
        if self._was_ready:
            log.warning("bus_back", away_s=self._elapsed_s(), **self._facts)
        else:
            log.info("bus_connected", waited_s=self._elapsed_s(), **self._facts)
        self._was_ready = True
        self._since_s = self._loop.time()

    def lost(self, reason: str) -> None:
        """The broker was there and is gone."""
        log.warning("bus_lost", reason=reason, up_s=self._elapsed_s(), **self._facts)
        self._since_s = self._loop.time()
        self._reminder = self._loop.call_later(REMINDER_S, self._remind)

    def silent(self, silent_s: float) -> None:
        """The broker is connected and does not acknowledge; the connection is made anew."""
        log.warning("bus_silent", silent_s=round(silent_s, 3), **self._facts)

    def epoch(self, epoch: bytes) -> None:
        """The broker named its epoch: it is another run of the broker than before, or the same."""
        if self._epoch is not None and epoch != self._epoch:
            log.info("bus_broker_restarted", epoch=epoch.hex(), previous=self._epoch.hex(), **self._facts)
        self._epoch = epoch

    def refused(self, reason: str) -> None:
        """Something answers at the address and no handshake comes of it; a stopping broker may do so, too."""
        self._refused_in_a_row += 1
        if self._refused_in_a_row < REFUSALS_TO_TELL:
            return
        if times := self._refusals.record(self._loop.time()):
            log.warning("bus_not_a_broker", reason=reason, times=times, **self._facts)

    def close(self) -> None:
        """Say no more."""
        self._reminder.cancel()

    def _remind(self) -> None:
        log.warning("bus_unreachable", reason=self._trouble(), waited_s=self._elapsed_s(), **self._facts)
        self._reminder = self._loop.call_later(REMINDER_S, self._remind)

    def _elapsed_s(self) -> float:
        return round(self._loop.time() - self._since_s, 3)
