"""A connected socket to an endpoint that may not be there yet: tried again and again, on the event loop.

No back-off beyond 100 ms: a restarting broker binds its subscribe side 0.3 s before its publish side and relies on
every node having subscribed in between (DESIGN, section 5).
"""

import asyncio
import contextlib
import errno
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zmqio.zeromq.socket_options import KEEPALIVE_IDLE_S, KEEPALIVE_INTVL_S, KEEPALIVE_PROBES

__all__ = ["Dialer"]

AGAIN_S = 0.01
AGAIN_MOST_S = 0.1
ATTEMPT_LIMIT_S = 5.0
"""Seconds until an attempt that nothing answers is given up for the next."""


@dataclass(frozen=True, slots=True)
class _Address:
    family: socket.AddressFamily
    address: Any  # as `socket.connect` takes it


class Dialer:
    """Connects once, however long it takes. Belongs to the event loop on which it was made.

    Args:
        loop: the running event loop.
        endpoint: `tcp://host:port` or `ipc://path`. A host's name is looked up for each attempt, and its addresses
            are tried in turn.
        connected: called once, on the loop and never inside a call to this, with a non-blocking stream socket.
        failed: called with the reason of each attempt that failed, likewise.
        wait_s: seconds until the first attempt.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: str,
        connected: Callable[[socket.socket], None],
        failed: Callable[[str], None] = lambda _: None,
        wait_s: float = 0.0,
    ) -> None:
        self._loop = loop
        self._endpoint = endpoint
        self._connected = connected
        self._failed = failed
        self._is_over = False
        self._attempts = 0
        self._pause_s = AGAIN_S
        self._socket: socket.socket | None = None
        self._timer: asyncio.Handle = loop.call_later(wait_s, self._look_up)

    def close(self) -> None:
        """Try no more."""
        self._is_over = True
        self._timer.cancel()
        self._drop()

    def _look_up(self) -> None:
        if self._endpoint.startswith("ipc://"):
            path = self._endpoint.removeprefix("ipc://")
            self._try([_Address(socket.AF_UNIX, path.replace("@", "\0", 1) if path[0] == "@" else path)])
            return
        host, _, port = self._endpoint.removeprefix("tcp://").rpartition(":")
        try:
            addresses = _resolve(host.strip("[]"), port, socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):  # a name
            # Not in the loop's executor: what blocks there would hold this up, and this the end of the loop.
            thread = threading.Thread(target=self._look_up_name, args=(host, port), daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the system gives no more
                self._try_again(str(error))
        else:
            self._try(addresses)

    def _look_up_name(self, host: str, port: str) -> None:
        """On a thread of its own: find the addresses, and hand them to the loop."""
        found: list[_Address] | str
        try:
            found = _resolve(host, port)
        except Exception as error:  # noqa: BLE001  outer edge of the thread: whatever it is, it is tried again
            found = f"the name {host!r} is not found: {getattr(error, 'strerror', None) or error}"
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._looked_up, found)

    def _looked_up(self, found: "list[_Address] | str") -> None:
        if self._is_over:
            return
        if isinstance(found, str):
            self._try_again(found)
        else:
            self._try(found)

    def _try(self, addresses: "list[_Address]") -> None:
        """Try the next one of some; whatever goes wrong (a limit of open files, too), it is tried again."""
        to = addresses[self._attempts % len(addresses)]
        self._attempts += 1
        try:
            error = self._begin(to)
        except OSError as failure:
            error = failure.errno or errno.EIO
        if error == 0:
            self._succeeded()
        elif error == errno.EINPROGRESS and self._socket is not None:
            late = f"no answer in {ATTEMPT_LIMIT_S:g} s"
            self._timer = self._loop.call_later(ATTEMPT_LIMIT_S, self._try_again, late)
            self._loop.add_writer(self._socket.fileno(), self._decided)
        else:
            self._try_again(os.strerror(error))

    def _begin(self, to: _Address) -> int:
        attempt = self._socket = socket.socket(to.family, socket.SOCK_STREAM)
        attempt.setblocking(False)
        if to.family != socket.AF_UNIX:
            _set_tcp_options(attempt)
        return attempt.connect_ex(to.address)

    def _decided(self) -> None:
        if self._socket is None:
            return
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._try_again(os.strerror(error))
        else:
            self._succeeded()

    def _succeeded(self) -> None:
        attempt, self._socket = self._socket, None
        assert attempt is not None
        self._timer.cancel()
        self._is_over = True
        self._loop.remove_writer(attempt.fileno())
        self._connected(attempt)

    def _try_again(self, reason: str) -> None:
        self._failed(reason)
        self._timer.cancel()
        self._drop()
        self._timer = self._loop.call_later(self._pause_s, self._look_up)
        self._pause_s = min(2 * self._pause_s, AGAIN_MOST_S)

    def _drop(self) -> None:
        if self._socket is not None:
            if not self._loop.is_closed():
                self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
            self._socket = None


def _resolve(host: str, port: str, flags: int = 0) -> list[_Address]:
    found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM, flags=flags)
    return [_Address(family, address) for family, _, _, _, address in found]


def _set_tcp_options(attempt: socket.socket) -> None:
    """Small messages leave at once, and a machine that is gone is noticed after 10 s."""
    attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    attempt.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    with contextlib.suppress(AttributeError):  # not every system has them by these names
        attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
        attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTVL_S)
        attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
