"""A worker as an acceptor sees it: a place, a tag, and the link over which it takes connections."""

import socket
from typing import Protocol

from zmqio.ids import NodeTag
from zmqio.launcher.worker.link import WorkerLink
from zmqio.launcher.worker.messages import Closed, Report, Stopping

__all__ = ["LinkWatcher", "LinkedWorker"]


class LinkWatcher(Protocol):
    """Who has to know what becomes of a link."""

    def takes_no_more(self, worker: "LinkedWorker") -> None:
        """The worker stops."""

    def has_ended(self, worker: "LinkedWorker") -> None:
        """The worker's end is gone, and this one is closed."""


class LinkedWorker:
    """A worker that connections can be given to.

    Args:
        slot: its place.
        tag: its node tag.
        link: this end of the link to it.
        watcher: hears of it.

    Attributes:
        leaves: whether its end is expected.
    """

    def __init__(self, slot: int, tag: NodeTag, link: socket.socket, watcher: LinkWatcher) -> None:
        self.slot = slot
        self.tag = tag
        self.leaves = False
        self._closed = 0
        self._watcher = watcher
        self._link = WorkerLink(link, self._heard, self._has_ended)

    @property
    def connections(self) -> int:
        """How many it has of those that it was given over this link."""
        return self._link.given - self._closed

    @property
    def broken(self) -> bool:
        """Whether it is gone, as far as the link knows."""
        return self._link.broken

    def give(self, connection: socket.socket) -> bool:
        """Hand a connection over; False if it takes none (see `WorkerLink.give`)."""
        return self._link.give(connection)

    def finish(self) -> None:
        """Give it no more; what it was given reaches it."""
        self.leaves = True
        self._link.finish()

    def close(self) -> None:
        """Close the link, and connections that still wait for the worker."""
        self._link.close()

    def _heard(self, report: Report) -> None:
        match report:
            case Closed(count):
                self._closed += count
            case Stopping():
                self._watcher.takes_no_more(self)
                self.finish()
            case _:  # the rest is for its parent
                pass

    def _has_ended(self) -> None:
        self._link.close()
        self._watcher.has_ended(self)
