"""The state of the other end of a socket, found out without reading from it."""

import select
import socket

__all__ = ["peer_has_closed"]

_POLLRDHUP = getattr(select, "POLLRDHUP", 0)


def peer_has_closed(connection: socket.socket) -> bool:
    """Whether the peer has closed its sending side. A peek cannot detect that while there are unread bytes."""
    poller = select.poll()
    poller.register(connection.fileno(), _POLLRDHUP)
    return bool(poller.poll(0))
