"""Options of the sockets of a node: those that every connection to a broker shares, and those that are read."""

import zmq

from zmqio.zeromq.context import SyncSocket

__all__ = [
    "KEEPALIVE_IDLE_S",
    "KEEPALIVE_INTVL_S",
    "KEEPALIVE_PROBES",
    "REFUSED_RETRY_S",
    "fd_of",
    "is_writable",
    "set_link_options",
]

RECONNECT_IVL_MS = 10
RECONNECT_IVL_MAX_MS = 100
# Any name: with a ZAP domain set, libzmq refuses peers that speak ZMTP 1.0 or 2.0 (before 2012). Without it, every
# stranger is such a peer: an HTTP server's answer is cut into "messages". There is no ZAP handler.
ZAP_DOMAIN = b"zmqio"
REFUSED_RETRY_S = 0.5
"""Seconds until a stranger at the address is asked again: it does not go away in a moment, and libzmq does not ask
again by itself."""
# With these the kernel notices a machine that is gone after 10 s.
KEEPALIVE_IDLE_S = 5
KEEPALIVE_INTVL_S = 1
KEEPALIVE_PROBES = 5


def set_link_options(socket: SyncSocket, endpoint: str) -> None:
    """Set how a socket reconnects, whom it refuses, and how the kernel notices a machine that is gone (10 s)."""
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_IVL_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_IVL_MAX_MS)
    if endpoint.startswith("tcp://"):
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S)
        socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, KEEPALIVE_INTVL_S)
        socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, KEEPALIVE_PROBES)
        if "[" in endpoint:
            socket.setsockopt(zmq.IPV6, 1)


def fd_of(socket: SyncSocket) -> int:
    """The file descriptor that becomes readable when something about `socket` has changed (and only then)."""
    fd = socket.getsockopt(zmq.FD)
    assert isinstance(fd, int)
    return fd


def is_writable(socket: SyncSocket) -> bool:
    """Whether `socket` takes a message now; makes libzmq look at its commands, so its FD may fall silent."""
    events = socket.getsockopt(zmq.EVENTS)
    assert isinstance(events, int)
    return bool(events & zmq.POLLOUT)
