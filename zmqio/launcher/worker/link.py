"""The sending end of a socket pair to a worker: sockets go out, the worker's messages come in."""

import socket
from collections.abc import Callable

from zmqio.launcher.ipc.fd_passing import FdPassingLink
from zmqio.launcher.worker.messages import FD_MARKER, WorkerMessage, WorkerMessageReader

__all__ = ["MAX_PENDING", "WorkerLink"]

MAX_PENDING = 1_000
"""Connections queued for a worker that does not take them; beyond that, further ones are rejected."""


class WorkerLink(FdPassingLink[WorkerMessage]):
    """Passes sockets to one worker.

    Args:
        link: one end of a pair of stream sockets.
        on_message: called with each message.
        on_end: called when the worker's end is closed.

    Attributes:
        broken: whether the worker's end is closed.
        passed: number of sockets sent or queued so far.
    """

    def __init__(
        self,
        link: socket.socket,
        on_message: Callable[[WorkerMessage], None],
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            link,
            max_pending=MAX_PENDING,
            decode=WorkerMessageReader().feed,
            on_message=on_message,
            on_end=on_end,
            malformed_event="worker_message_malformed",
        )
        self.passed = 0

    def pass_socket(self, connection: socket.socket) -> bool:
        """Send a socket to the worker; it is closed in this process then.

        Returns:
            False if the worker is stopping or gone, or `MAX_PENDING` sockets are queued for it. The caller keeps
            the socket then.
        """
        if not self.send(FD_MARKER, connection):
            return False
        self.passed += 1
        return True
