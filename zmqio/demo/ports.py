"""Find free ports on loopback, from a preferred one upwards."""

import socket
from collections.abc import Iterator

__all__ = ["HOST", "first_free", "listen"]

HOST = "127.0.0.1"
MOST_TRIES = 50
BACKLOG = 2048
"""Connections that wait while the node starts; the same as uvicorn's default."""


def listen(preferred: int) -> socket.socket:
    """Listen on the first free port from `preferred` upwards.

    Raises:
        OSError: `MOST_TRIES` ports in a row are taken.
    """
    for port in _candidates(preferred, 1):
        try:
            return _bind(port)
        except OSError:
            continue
    raise OSError(f"no free port on {HOST} from {preferred} to {preferred + MOST_TRIES - 1}")


def first_free(preferred: int, count: int) -> int:
    """The first of `count` neighbouring free ports, from `preferred` upwards in steps of `count`.

    Raises:
        OSError: `MOST_TRIES` such blocks in a row are taken.
    """
    for first in _candidates(preferred, count):
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise OSError(f"no {count} neighbouring free ports on {HOST} from {preferred} upwards")


def _candidates(preferred: int, step: int) -> Iterator[int]:
    return (port for port in range(preferred, preferred + MOST_TRIES * step, step) if port + step <= 65_536)


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
        listener.listen(BACKLOG)  # only now is a port surely ours: two sockets may bind one while neither listens
    except OSError:
        listener.close()
        raise
    return listener
