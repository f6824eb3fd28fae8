"""Finds free ports on loopback, from a preferred port upwards."""

import socket
from collections.abc import Iterator

__all__ = ["HOST", "first_free", "listen"]

HOST = "127.0.0.1"
MAX_ATTEMPTS = 50
BACKLOG = 2048
"""Most connections queued while the node starts; the same as uvicorn's default."""


def listen(preferred: int) -> socket.socket:
    """Listen on the first free port from `preferred` upwards.

    Raises:
        OSError: `MAX_ATTEMPTS` consecutive ports are taken.
    """
    for port in _candidates(preferred, 1):
        try:
            return _bind(port)
        except OSError:
            continue
    raise OSError(f"no free port on {HOST} from {preferred} to {preferred + MAX_ATTEMPTS - 1}")


def first_free(preferred: int, count: int) -> int:
    """Return the first of `count` consecutive free ports, from `preferred` upwards in steps of `count`.

    Raises:
        OSError: `MAX_ATTEMPTS` consecutive blocks of ports are taken.
    """
    for first in _candidates(preferred, count):
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise OSError(f"no {count} consecutive free ports on {HOST} from {preferred} upwards")


def _candidates(preferred: int, step: int) -> Iterator[int]:
    return (port for port in range(preferred, preferred + MAX_ATTEMPTS * step, step) if port + step <= 65_536)


def _is_free(port: int) -> bool:
    try:
        _bind(port).close()
    except OSError:
        return False
    return True


def _bind(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(BACKLOG)  # reserves the port: two sockets may be bound to it while neither listens
    except OSError:
        listener.close()
        raise
    return listener
