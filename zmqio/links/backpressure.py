"""Tracks the links that accept messages. A link whose queue was full is skipped until it accepts a message again.

A message rejected by a full queue leaves a gap on that link. Peers must learn of the gap before anything else is
sent on it: `on_writable` is called, and once a message sent on that link alone during the call is accepted, the
link carries all messages again. Until then nothing else passes, not even a heartbeat, which would hide the gap.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from zmqio.log_limit import LimitedLog, LogLimit
from zmqio.logger import get_logger

__all__ = ["Backpressure", "LinkSender"]

log = get_logger(__name__)

RETRY_S = 0.02


class LinkSender(Protocol):
    """The publisher of a link."""

    @property
    def is_lost(self) -> bool:
        """Whether the connection has failed; the link will report the loss."""

    def send(self, frame: bytes) -> bool:
        """Queue one message; return False if it is rejected."""


class Backpressure:
    """Sends to the links that are ready and not full.

    Args:
        counters: counts `bus_queue_overflows` and `link_sends_failed`.
        on_writable: called on the loop with a link that may accept messages again, every 20 ms until it does. It
            must send a message that reports the gap, on that link alone.
    """

    def __init__(self, counters: Counter[str], on_writable: Callable[[int], None]) -> None:
        self._counters = counters
        self._on_writable = on_writable
        self._ready: dict[int, LinkSender] = {}
        self._writable: list[tuple[int, LinkSender]] = []
        self._full: dict[int, asyncio.TimerHandle] = {}
        self._retrying: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._log_limit = LogLimit()
        self._failure_log = LimitedLog(log)

    def add(self, link: int, sender: LinkSender) -> None:
        """Add a link that has become ready."""
        self._loop = asyncio.get_running_loop()
        self._ready[link] = sender
        self._update_writable()

    def remove(self, link: int) -> None:
        """Remove a lost link."""
        self._ready.pop(link, None)
        self._unmark_full(link)
        self._update_writable()

    def close(self) -> None:
        """Remove all links."""
        for link in list(self._ready):
            self.remove(link)

    def send(self, frame: bytes) -> int:
        """Queue a message on every writable link; return on how many it was accepted."""
        accepted = 0
        rejected: list[int] = []
        for link, sender in self._writable:
            if self._try_send(link, sender, frame):
                accepted += 1
            else:
                rejected.append(link)
        for link in rejected:
            self._mark_full(link)
        return accepted

    def send_on(self, link: int, frame: bytes) -> int:
        """Queue a message on one link that is writable or whose `on_writable` call is running; return 1 or 0."""
        sender = self._ready.get(link)
        if sender is None or (link in self._full and link != self._retrying):
            return 0
        if not self._try_send(link, sender, frame):
            self._mark_full(link)
            return 0
        if self._unmark_full(link):
            self._update_writable()
        return 1

    def _try_send(self, link: int, sender: LinkSender, frame: bytes) -> bool:
        """Queue a message on one link. A failure must not keep it from the others; peers learn of the gap."""
        try:
            return sender.send(frame)
        except Exception as error:  # noqa: BLE001 - counts as a rejection, so that the gap is announced
            self._counters["link_sends_failed"] += 1
            self._failure_log.error("link_send_failed", link=link, exc_info=error)
            return False

    def _mark_full(self, link: int) -> None:
        if link not in self._full and not self._ready[link].is_lost:
            self._counters["bus_queue_overflows"] += 1
            if times := self._log_limit.record(time.monotonic()):
                hint = "the broker accepts less than this node publishes"
                log.warning("bus_queue_overflowed", link=link, times=times, hint=hint)
        self._schedule_retry(link)
        self._update_writable()

    def _schedule_retry(self, link: int) -> None:
        self._unmark_full(link)
        if self._loop is not None and not self._loop.is_closed():
            self._full[link] = self._loop.call_later(RETRY_S, self._retry, link)

    def _retry(self, link: int) -> None:
        timer = self._full.get(link)
        self._retrying = link
        try:
            self._on_writable(link)
        finally:
            self._retrying = None
            if timer is not None and self._full.get(link) is timer:
                self._schedule_retry(link)  # nothing was sent

    def _unmark_full(self, link: int) -> bool:
        timer = self._full.pop(link, None)
        if timer is None:
            return False
        timer.cancel()
        return True

    def _update_writable(self) -> None:
        self._writable = [entry for entry in self._ready.items() if entry[0] not in self._full]
