"""Samples of the kernel's counters of one TCP connection: what libzmq has read from it and written to it.

libzmq does not say how much a connection has sent, or how much is queued for it. The kernel does, by descriptor.
Connections of other kinds (`ipc`, whose folder decides who may connect) and of other systems have no samples.
"""

import fcntl
import socket
import struct
import sys
import termios
from dataclasses import dataclass

__all__ = ["ConnectionSample", "peer_address", "take_sample"]

# Source: struct tcp_info of linux/tcp.h (Linux 4.6): tcpi_bytes_acked, tcpi_bytes_received, two counts of
# segments, tcpi_notsent_bytes.
_COUNTERS = struct.Struct("=QQ8xI")
_COUNTERS_AT = 120
_TCP_INFO_BYTES = _COUNTERS_AT + _COUNTERS.size
_IS_LINUX = sys.platform == "linux"


@dataclass(frozen=True, slots=True)
class ConnectionSample:
    """The counters of one connection.

    Attributes:
        received: bytes that libzmq has read.
        sent: bytes that the peer has confirmed.
        unsent: bytes that libzmq has written and the kernel has not sent, because the peer does not read.
        unread: bytes that have arrived and that libzmq has not read yet.
    """

    received: int
    sent: int
    unsent: int
    unread: int = 0


def take_sample(descriptor: int) -> ConnectionSample | None:
    """Read the counters of a connection that belongs to libzmq; None if it is closed or has none."""
    if not _IS_LINUX:
        return None
    try:
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=descriptor)
    except OSError:  # closed in the meantime
        return None
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        sent, received, unsent = _COUNTERS.unpack_from(info, _COUNTERS_AT)
        (unread,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))
    except (OSError, struct.error):
        return None
    else:
        return ConnectionSample(max(0, received - unread), sent, unsent, unread)
    finally:
        connection.detach()


def peer_address(descriptor: int) -> str:
    """Return the address of the peer, for a log line; "unknown" if the connection is closed."""
    try:
        connection = socket.socket(fileno=descriptor)
    except OSError:
        return "unknown"
    try:
        host, port = connection.getpeername()[:2]
    except (OSError, ValueError):
        return "unknown"
    else:
        return f"{host}:{port}"
    finally:
        connection.detach()
