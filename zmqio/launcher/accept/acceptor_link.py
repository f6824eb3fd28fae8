"""The supervisor's end of the socket to an acceptor: sends messages and links to workers, receives messages."""

import socket
from collections.abc import Callable

from zmqio.launcher.accept.acceptor_messages import (
    AcceptorMessage,
    SupervisorMessage,
    decode_acceptor_message,
    encode_message,
)
from zmqio.launcher.ipc.fd_passing import FdPassingLink
from zmqio.launcher.ipc.line_reader import LineReader

__all__ = ["MAX_PENDING_MESSAGES", "AcceptorLink"]

MAX_PENDING_MESSAGES = 10_000
"""Messages queued for an acceptor that does not read. Each start of a worker takes two or three."""


class AcceptorLink(FdPassingLink[AcceptorMessage]):
    """Exchanges messages with one acceptor, in the running event loop.

    Args:
        link: one end of a pair of stream sockets.
        on_message: called with each message.
    """

    def __init__(self, link: socket.socket, on_message: Callable[[AcceptorMessage], None]) -> None:
        lines = LineReader()
        super().__init__(
            link,
            max_pending=MAX_PENDING_MESSAGES,
            decode=lambda data: [decode_acceptor_message(line) for line in lines.feed(data)],
            on_message=on_message,
            on_end=lambda: None,  # the exit of the process is what counts
            malformed_event="acceptor_message_malformed",
        )

    def send_message(self, message: SupervisorMessage, attached: socket.socket | None = None) -> bool:
        """Send a message; queue it if necessary.

        Args:
            message: the message.
            attached: a socket that accompanies it; closed in this process in any case.

        Returns:
            False if `MAX_PENDING_MESSAGES` are queued, so the acceptor hangs. True for an acceptor that is gone:
            the exit of its process is handled elsewhere.
        """
        if self.send(encode_message(message), attached):
            return True
        if attached is not None:
            attached.close()
        return self.is_closed
