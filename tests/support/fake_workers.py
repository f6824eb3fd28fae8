"""Fake workers of `zmqio serve` that only keep the sockets passed to them, for tests of dispatchers."""

import socket
from collections.abc import Callable

from zmqio.ids import NodeTag
from zmqio.launcher.worker.messages import WorkerFailed

__all__ = ["FakeWorker"]


class FakeWorker:
    """A worker as a `ConnectionDispatcher` sees it.

    Attributes:
        received: the sockets passed to it.
        accepts: whether it accepts any.
    """

    def __init__(self, slot: int, tag: str) -> None:
        self.slot = slot
        self.tag = NodeTag(tag)
        self.pid = slot
        self.broken = False
        self.accepts = True
        self.failure: WorkerFailed | None = None
        self.received: list[socket.socket] = []

    @property
    def connections(self) -> int:
        return len(self.received)

    def pass_socket(self, connection: socket.socket) -> bool:
        if self.accepts:
            self.received.append(connection)
        return self.accepts

    def receives(self, link: socket.socket) -> Callable[[], bool]:
        """Return a condition: the next connection has arrived over a link; it is closed then."""

        def received() -> bool:
            link.setblocking(False)
            try:
                _, fds, _, _ = socket.recv_fds(link, 1, 1)
            except BlockingIOError:
                return False
            for fd in fds:
                socket.socket(fileno=fd).close()
            return bool(fds)

        return received

    def close(self) -> None:
        """Close all received sockets."""
        for each in self.received:
            each.close()
