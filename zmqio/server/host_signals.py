"""Begin to close when the host is told to stop, and let the host wait for that where clients are to go slowly.

An ASGI server that is told to stop (SIGTERM, SIGINT) cuts its WebSockets, waits for open responses, then ends the
lifespan, and some end by the signal itself, without ever running exit functions. A parked long-poll would hold it
up, and where a mounted app gets no lifespan the other nodes would never hear a goodbye. So the server hears of
the signal first. It may have it held back: the host then goes on serving as if nothing had happened, and gets the
signal when the server has closed, or at once when somebody insists.

Two kinds of handlers are known: those of `signal.signal` (uvicorn), and those of `loop.add_signal_handler` on
asyncio's own loops (hypercorn). uvloop shows nobody its handlers: hosts that use them hear of it at once.
"""

import asyncio
import signal
import threading
from collections.abc import Callable
from time import monotonic
from types import FrameType
from typing import Any, Protocol

from zmqio.stop_requests import StopRequests

__all__ = ["HostSignals"]

SIGNALS = (signal.SIGTERM, signal.SIGINT)
NOBODYS = (None, signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler)
"""Handlers that no host has installed; what they do (end, ignore, raise) is left as it is."""

Heard = Callable[[int, FrameType | None], None]


class HostSignals:
    """One server's part in the signals of its process.

    Args:
        told_to_stop: called before the host's own handler, in the main thread, between any two instructions: it
            may only schedule something. Its argument says whether it was told before, and somebody insists. True:
            the host is to hear of it when this server unwraps.
    """

    def __init__(self, told_to_stop: Callable[[bool], bool]) -> None:
        self.told_to_stop = told_to_stop

    def wrap(self) -> None:
        """Wrap what is there; nothing happens outside the main thread, where no handler can be set."""
        if threading.current_thread() is threading.main_thread():
            _process.add(self)

    def unwrap(self) -> None:
        """Leave it to the host and the other servers; the last one puts the host's handlers back.

        Signals that were held back reach the host then.
        """
        if threading.current_thread() is threading.main_thread():
            _process.remove(self)


class _HostHandler(Protocol):
    """A handler of the host that ours stands in for."""

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        """Let it hear the signal."""

    def restore(self) -> bool:
        """Put it back; False if somebody has replaced ours meanwhile, who may still call it."""


class _Process:
    """The signals of this process: the host's handlers, and the servers that hear before them."""

    def __init__(self) -> None:
        self._servers: list[HostSignals] = []
        self._host: dict[int, _HostHandler] = {}
        self._held: dict[int, None] = {}
        self._holders: list[HostSignals] = []
        self._requests = StopRequests()

    def add(self, server: HostSignals) -> None:
        if server not in self._servers:
            self._servers.append(server)
        for number in SIGNALS:
            if number not in self._host and (found := _stand_in(number, self._heard)) is not None:
                self._host[number] = found

    def remove(self, server: HostSignals) -> None:
        self._servers = [other for other in self._servers if other is not server]
        self._holders = [other for other in self._holders if other is not server]
        if not self._holders:
            held, self._held = self._held, {}
            for number in held:
                self._pass_on(number, None)
        if not self._servers:
            self._requests = StopRequests()
            # A handler that cannot be put back goes on to hand signals through.
            self._host = {number: handler for number, handler in self._host.items() if not handler.restore()}

    def _heard(self, number: int, frame: FrameType | None) -> None:
        again = self._requests.is_repeated(monotonic())
        self._holders = [server for server in tuple(self._servers) if server.told_to_stop(again)]
        if self._holders:
            self._held[number] = None
        else:
            self._held.clear()
            self._pass_on(number, frame)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        handler = self._host.get(number)
        if handler is not None:
            handler.pass_on(number, frame)


class _ProcessHandler:
    """Stands in for a handler that was installed by `signal.signal`."""

    def __init__(self, number: int, heard: Heard) -> None:
        self._number = number
        self._heard = heard
        self._previous: Any = signal.signal(number, heard)

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        self._previous(number, frame)

    def restore(self) -> bool:
        if signal.getsignal(self._number) != self._heard:
            return False
        signal.signal(self._number, self._previous)
        return True


class _LoopHandler:
    """Stands in for a handler that was installed by `loop.add_signal_handler`."""

    def __init__(self, number: int, heard: Heard, loop: asyncio.AbstractEventLoop) -> None:
        self._number = number
        self._loop = loop
        self._previous = _handlers_of(loop)[number]
        loop.add_signal_handler(number, heard, number, None)
        self._ours = _handlers_of(loop)[number]

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        if self.restore():
            signal.raise_signal(number)

    def restore(self) -> bool:
        handlers = _handlers_of(self._loop)
        if handlers.get(self._number) is self._ours:
            handlers[self._number] = self._previous
        return True


def _stand_in(number: int, heard: Heard) -> _HostHandler | None:
    """Stand in for the host's handler, if it has one."""
    try:
        loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        loop = None
    if loop is not None and number in _handlers_of(loop):
        return _LoopHandler(number, heard, loop)
    if signal.getsignal(number) in NOBODYS:
        return None
    return _ProcessHandler(number, heard)


def _handlers_of(loop: asyncio.AbstractEventLoop) -> dict[int, asyncio.Handle]:
    """The loop's own handlers; of asyncio's loops in Python 3.11 to 3.14, empty for others."""
    handlers: dict[int, asyncio.Handle] = getattr(loop, "_signal_handlers", {})
    return handlers


_process = _Process()
