"""The supervisor's end of the socket to an acceptor: orders go out, links to workers with them; notes come in."""

import socket
from collections.abc import Callable

from zmqio.launcher.accept.acceptor_messages import Note, Order, decode_note, encode
from zmqio.launcher.ipc.fd_passing import FdPassingLink
from zmqio.launcher.ipc.line_reader import LineReader

__all__ = ["MOST_WAITING", "AcceptorLink"]

MOST_WAITING = 10_000
"""Orders that wait here for an acceptor that does not take them; each start of a worker makes two or three."""


class AcceptorLink(FdPassingLink[Note]):
    """Gives one acceptor orders, in the running loop.

    Args:
        link: one end of a pair of stream sockets.
        heard: gets every note.
    """

    def __init__(self, link: socket.socket, heard: Callable[[Note], None]) -> None:
        lines = LineReader()
        super().__init__(
            link,
            most_waiting=MOST_WAITING,
            read=lambda data: [decode_note(line) for line in lines.feed(data)],
            heard=heard,
            ended=lambda: None,  # that of its process tells it
            malformed="acceptor_note_malformed",
        )

    def order(self, order: Order, passed: socket.socket | None = None) -> bool:
        """Send an order; what the socket does not take at once follows when it does.

        Args:
            order: the order.
            passed: travels with it; closed here then, in any case.

        Returns:
            False if `MOST_WAITING` wait already: that acceptor hangs. True for one that is gone: its end tells it.
        """
        if self.offer(encode(order), passed):
            return True
        if passed is not None:
            passed.close()
        return self.is_over
