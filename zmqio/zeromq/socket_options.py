"""Options of libzmq sockets that connect to a broker, and the two options that are read."""

import zmq

from zmqio.zeromq.context import SyncSocket
from zmqio.zeromq.curve import LoadedCurve
from zmqio.zeromq.dialer import KEEPALIVE_IDLE_S, KEEPALIVE_INTVL_S, KEEPALIVE_PROBES

__all__ = ["fd_of", "is_writable", "set_connect_options"]

RECONNECT_IVL_MS = 10
RECONNECT_IVL_MAX_MS = 100
# Any name: with a ZAP domain set, libzmq refuses peers that speak ZMTP 1.0 or 2.0 (from before 2012). Without one,
# libzmq takes any peer for such a peer and cuts, say, an HTTP response into "messages". There is no ZAP handler.
ZAP_DOMAIN = b"zmqio"


def set_connect_options(socket: SyncSocket, endpoint: str, keys: LoadedCurve | None = None) -> None:
    """Configure keys, reconnection, the refusal of old peers, and the detection of lost ones (after 10 s)."""
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_IVL_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_IVL_MAX_MS)
    if keys is not None:
        socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server_key.encode())
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public_key.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret_key.encode())
    if endpoint.startswith("tcp://"):
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S)
        socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, KEEPALIVE_INTVL_S)
        socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, KEEPALIVE_PROBES)
        if "[" in endpoint:
            socket.setsockopt(zmq.IPV6, 1)


def fd_of(socket: SyncSocket) -> int:
    """Return the file descriptor that becomes readable when the state of `socket` has changed, and only then."""
    fd = socket.getsockopt(zmq.FD)
    assert isinstance(fd, int)
    return fd


def is_writable(socket: SyncSocket) -> bool:
    """Return whether `socket` accepts a message now.

    Makes libzmq process its events, so that its file descriptor may become silent.
    """
    events = socket.getsockopt(zmq.EVENTS)
    assert isinstance(events, int)
    return bool(events & zmq.POLLOUT)
