"""The balancer's end of the socket to a worker: connections go out, reports come in."""

import socket
from collections.abc import Callable

from zmqio.launcher.ipc.fd_passing import FdPassingLink
from zmqio.launcher.worker.messages import PASS, Report, ReportReader

__all__ = ["MOST_WAITING", "WorkerLink"]

MOST_WAITING = 1_000
"""Connections that wait here for a worker that does not take them; beyond it they are refused."""


class WorkerLink(FdPassingLink[Report]):
    """Hands connections to one worker.

    Args:
        link: one end of a pair of stream sockets.
        heard: gets every report.
        ended: called when the worker's end is gone.

    Attributes:
        broken: whether the worker's end is gone.
        given: how many connections were handed over, or wait for it.
    """

    def __init__(
        self, link: socket.socket, heard: Callable[[Report], None], ended: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(
            link,
            most_waiting=MOST_WAITING,
            read=ReportReader().feed,
            heard=heard,
            ended=ended,
            malformed="worker_report_malformed",
        )
        self.given = 0

    def give(self, connection: socket.socket) -> bool:
        """Hand a connection over; it is closed here then.

        Returns:
            False if the worker takes no more, is gone, or `MOST_WAITING` wait for it already: the connection is
            still the caller's.
        """
        if not self.offer(PASS, connection):
            return False
        self.given += 1
        return True
