"""The limit of open files: raised at the start, and kept free of connections up to a reserve.

libzmq accepts connections by itself. At the limit it tries again at once and without end: a million failed
attempts in 3 s, each reported to the monitor, whose queue took 1.5 GB. The broker therefore closes a connection
that would use the last free descriptors. Nodes try to connect again, with a back-off of their own.
"""

import contextlib
import resource
import socket

__all__ = ["RESERVED_DESCRIPTORS", "close_connection", "connection_limit", "raise_open_files_limit"]

RESERVED_DESCRIPTORS = 1_024
"""Descriptors that no connection may keep, at most a quarter of all: libzmq accepts some hundreds of connections
before the monitor thread closes the first."""


def raise_open_files_limit() -> None:
    """Raise the soft limit of open files to the hard limit. The usual 1,024 protects only users of select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connection_limit() -> int:
    """Return the lowest descriptor that no connection may keep.

    The system gives each new descriptor the lowest free number. A connection with this number shows that all lower
    numbers are taken.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft - min(RESERVED_DESCRIPTORS, soft // 4)


def close_connection(descriptor: int) -> None:
    """Shut down a connection that belongs to libzmq, which then closes it. Do nothing if it is closed already.

    If the number belongs to a newer connection by now, that one is over the limit, too.
    """
    with contextlib.suppress(OSError):
        connection = socket.socket(fileno=descriptor)
        try:
            connection.shutdown(socket.SHUT_RDWR)
        finally:
            connection.detach()
