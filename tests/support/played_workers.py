"""Workers of `zmqio serve` that only keep what they are given, for tests of what stands before them."""

import socket
from collections.abc import Callable

from zmqio.ids import NodeTag
from zmqio.launcher.worker.messages import Failed

__all__ = ["PlayedWorker"]


class PlayedWorker:
    """What a `Front` sees of a worker.

    Attributes:
        given: what it took.
        takes: whether it takes anything.
    """

    def __init__(self, slot: int, tag: str) -> None:
        self.slot = slot
        self.tag = NodeTag(tag)
        self.pid = slot
        self.broken = False
        self.takes = True
        self.failure: Failed | None = None
        self.given: list[socket.socket] = []

    @property
    def connections(self) -> int:
        return len(self.given)

    def give(self, connection: socket.socket) -> bool:
        if self.takes:
            self.given.append(connection)
        return self.takes

    def receives(self, link: socket.socket) -> Callable[[], bool]:
        """A condition: the next connection has come over a link; it is closed."""

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
        """Close all that it was given."""
        for each in self.given:
            each.close()
