"""Pauses the listening sockets of libzmq when no connection can be accepted, for lack of descriptors.

libzmq tries again at once and without end. While a pause lasts, new connections are dropped in the kernel, so that
their clients try again, and those that wait to be accepted are closed: nothing is left that libzmq could try.
"""

import contextlib
import ctypes
import errno
import os
import socket
import struct
import sys
from collections.abc import Callable

__all__ = ["PAUSE_S", "AcceptPause"]

PAUSE_S = 1.0
"""Seconds between two attempts."""
_NO_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_ATTACH_FILTER, _DETACH_FILTER = 26, 27  # SO_ATTACH_FILTER, SO_DETACH_FILTER
# A program of one instruction for the kernel's packet filter: drop. Source: linux/filter.h, struct sock_filter.
_DROP = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
_PROGRAM = struct.pack("HP", 1, ctypes.addressof(_DROP))
_CAN_FILTER = sys.platform == "linux"


class AcceptPause:
    """Pauses listening sockets.

    Args:
        clock: gives the seconds of a steady clock.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._listeners: set[int] = set()
        self._clock = clock
        self._ends_at: float | None = None
        self._reserve: int | None = _open_reserve()

    @property
    def is_paused(self) -> bool:
        """Whether new connections have to wait."""
        return self._ends_at is not None

    @property
    def lacks_reserve(self) -> bool:
        """Whether the reserved descriptor is missing during a pause: what has taken it is perhaps a connection."""
        return self.is_paused and self._reserve is None

    def add_listener(self, descriptor: int) -> None:
        """Note a listening socket, which belongs to libzmq."""
        # libzmq accepts when there is something to accept. This process may have closed it in between.
        os.set_blocking(descriptor, False)
        self._listeners.add(descriptor)

    def failed(self, error_number: int) -> None:
        """Stop accepting for `PAUSE_S` if an attempt has failed for lack of resources; close what waits."""
        if error_number not in _NO_RESOURCES:
            return
        if self._ends_at is None:
            self._ends_at = self._clock() + PAUSE_S
            self._each(_attach)
        # The reserved descriptor is what lets this process accept connections in order to close them.
        if self._reserve is not None:
            os.close(self._reserve)
        self._each(_close_waiting)
        self._reserve = _open_reserve()

    def end_if_due(self) -> None:
        """Accept again if the time is over."""
        if self._ends_at is not None and self._clock() >= self._ends_at:
            self._ends_at = None
            self._each(_detach)
            if self._reserve is None:
                self._reserve = _open_reserve()

    def close(self) -> None:
        """Release the reserved descriptor."""
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None

    def _each(self, action: Callable[[socket.socket], None]) -> None:
        for descriptor in self._listeners:
            with contextlib.suppress(OSError):
                listener = socket.socket(fileno=descriptor)
                try:
                    action(listener)
                finally:
                    listener.detach()


def _open_reserve() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _attach(listener: socket.socket) -> None:
    if _CAN_FILTER and listener.family != socket.AF_UNIX:
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, _PROGRAM)


def _detach(listener: socket.socket) -> None:
    if _CAN_FILTER and listener.family != socket.AF_UNIX:
        listener.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)


def _close_waiting(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()  # ends with an error: the socket does not block
        connection.close()
