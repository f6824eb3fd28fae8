"""A worker as an acceptor sees it: a slot, a tag, and the link over which connections are passed."""

import socket
from typing import Protocol

from zmqio.ids import NodeTag
from zmqio.launcher.worker.link import WorkerLink
from zmqio.launcher.worker.messages import ConnectionsClosed, WorkerMessage, WorkerStopping

__all__ = ["LinkedWorker", "LinkedWorkerObserver"]


class LinkedWorkerObserver(Protocol):
    """Is notified of the state of a linked worker."""

    def worker_stopping(self, worker: "LinkedWorker") -> None:
        """Called when the worker must get no more connections."""

    def worker_link_ended(self, worker: "LinkedWorker") -> None:
        """Called when the worker's end is closed; this end is closed, too."""


class LinkedWorker:
    """A worker to which connections can be passed; a `BalancedWorker`.

    Args:
        slot: number of its slot.
        tag: its node tag.
        link: this end of the link to it.
        observer: notified of its state.

    Attributes:
        is_leaving: whether the end of the link is expected.
    """

    def __init__(self, slot: int, tag: NodeTag, link: socket.socket, observer: LinkedWorkerObserver) -> None:
        self.slot = slot
        self.tag = tag
        self.is_leaving = False
        self._closed = 0
        self._observer = observer
        self._link = WorkerLink(link, self._handle, self._on_end)

    @property
    def connections(self) -> int:
        """Number of open connections that were passed over this link."""
        return self._link.passed - self._closed

    @property
    def broken(self) -> bool:
        """Whether the worker's end of the link is closed."""
        return self._link.broken

    def pass_socket(self, connection: socket.socket) -> bool:
        """Pass a connection to the worker; False if it was not accepted (see `WorkerLink.pass_socket`)."""
        return self._link.pass_socket(connection)

    def finish(self) -> None:
        """Pass no more connections; those passed before still reach the worker."""
        self.is_leaving = True
        self._link.finish()

    def close(self) -> None:
        """Close the link and the connections queued for the worker."""
        self._link.close()

    def _handle(self, message: WorkerMessage) -> None:
        match message:
            case ConnectionsClosed(count):
                self._closed += count
            case WorkerStopping():
                self._observer.worker_stopping(self)
                self.finish()
            case _:  # meant for the parent
                pass

    def _on_end(self) -> None:
        self._link.close()
        self._observer.worker_link_ended(self)
