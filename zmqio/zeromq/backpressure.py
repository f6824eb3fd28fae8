"""Which links take messages now: a link whose queue is full is left alone until it takes one again.

What a full queue did not take is a hole in what the other nodes get by that link. So before anything else passes
it again, they have to be told: `try_again` is called, and the link flows when a message that is sent by it alone
meanwhile was taken. Until then nothing else passes, not even a heartbeat: it would hide the hole.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import structlog

from zmqio.log_limit import LogLimit

__all__ = ["Backpressure", "LinkSender"]

log = structlog.get_logger(__name__)

TRY_AGAIN_S = 0.02


class LinkSender(Protocol):
    """The publishing half of a link."""

    @property
    def is_lost(self) -> bool:
        """Whether nothing is taken because its connection is gone, which it will report."""

    def send(self, frame: bytes) -> bool:
        """Queue one message; False when it is not taken."""


class Backpressure:
    """The publishing halves of the links that are ready.

    Args:
        counters: counts `bus_overflows`.
        try_again: called with a link that may take something again, on the loop, until it has. What it sends by
            that link alone has to tell of the hole.
    """

    def __init__(self, counters: Counter[str], try_again: Callable[[int], None]) -> None:
        self._counters = counters
        self._try_again = try_again
        self._ready: dict[int, LinkSender] = {}
        self._flowing: list[tuple[int, LinkSender]] = []
        self._stalled: dict[int, asyncio.TimerHandle] = {}
        self._trying: int | None = None
        self._log = LogLimit()

    def add(self, link: int, sender: LinkSender) -> None:
        """A link has become ready."""
        self._ready[link] = sender
        self._sort()

    def remove(self, link: int) -> None:
        """A link is lost."""
        self._ready.pop(link, None)
        self._forget_stall(link)
        self._sort()

    def close(self) -> None:
        """All links are lost."""
        for link in list(self._ready):
            self.remove(link)

    def send(self, frame: bytes) -> int:
        """Queue a message on every link that flows; on how many it was."""
        sent = 0
        full: list[int] = []
        for link, sender in self._flowing:
            if sender.send(frame):
                sent += 1
            else:
                full.append(link)
        for link in full:
            self._stall(link)
        return sent

    def send_by(self, link: int, frame: bytes) -> int:
        """Queue a message on one link that flows, or for which `try_again` is called just now; 1 or 0."""
        sender = self._ready.get(link)
        if sender is None or (link in self._stalled and link != self._trying):
            return 0
        if not sender.send(frame):
            self._stall(link)
            return 0
        if self._forget_stall(link):
            self._sort()
        return 1

    def _stall(self, link: int) -> None:
        if link not in self._stalled and not self._ready[link].is_lost:
            self._counters["bus_overflows"] += 1
            if times := self._log.record(time.monotonic()):
                log.warning("bus_overflow", link=link, times=times, hint="the broker takes less than is published")
        self._wait(link)
        self._sort()

    def _wait(self, link: int) -> None:
        self._forget_stall(link)
        self._stalled[link] = asyncio.get_running_loop().call_later(TRY_AGAIN_S, self._resume, link)

    def _resume(self, link: int) -> None:
        timer = self._stalled.get(link)
        self._trying = link
        try:
            self._try_again(link)
        finally:
            self._trying = None
            if timer is not None and self._stalled.get(link) is timer:
                self._wait(link)  # nothing was sent

    def _forget_stall(self, link: int) -> bool:
        timer = self._stalled.pop(link, None)
        if timer is None:
            return False
        timer.cancel()
        return True

    def _sort(self) -> None:
        self._flowing = [entry for entry in self._ready.items() if entry[0] not in self._stalled]
