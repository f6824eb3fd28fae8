"""Intercepts the host's stop signals, so that the server can close before the host does.

On SIGTERM or SIGINT an ASGI server drops its WebSockets, waits for open responses and then ends the lifespan. Some
hosts die by the signal itself and never run exit functions. A waiting long-poll would delay the host, and a
mounted app, which gets no lifespan events, could not say goodbye to the other nodes. The server therefore receives
the signal first. It may hold the signal back while it drains: the host keeps serving, and receives the signal when
the server has closed, or at once when the signal is repeated.

Two kinds of handlers are supported: those of `signal.signal` (uvicorn), and those of `loop.add_signal_handler` on
asyncio's own loops (hypercorn). uvloop does not expose its handlers; hosts that use them receive every signal at
once.
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
DEFAULT_HANDLERS = (None, signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler)
"""Handlers that no host has installed. Their effect (terminate, ignore, raise) is left unchanged."""
LOOP_HANDLERS = "_signal_handlers"
"""Private attribute of asyncio's Unix event loops in Python 3.11 to 3.14: signal number -> `asyncio.Handle`.

asyncio has no public way to read a signal handler and restore it. If the attribute is missing, the host's handler
cannot be deferred and runs immediately, in addition to the server's."""

SignalCallback = Callable[[int, FrameType | None], None]


class HostSignals:
    """Registers one server for the stop signals of its process.

    Args:
        on_stop_signal: called before the host's handler, in the main thread and between any two instructions, so
            it may only schedule work. Called with True if this is a repeated signal. Returns True to defer the
            host's handler until `unwrap()`.
    """

    def __init__(self, on_stop_signal: Callable[[bool], bool]) -> None:
        self.on_stop_signal = on_stop_signal

    def wrap(self) -> None:
        """Wrap the host's handlers. Does nothing outside the main thread, where handlers cannot be set."""
        if threading.current_thread() is threading.main_thread():
            _process.add(self)

    def unwrap(self) -> None:
        """Stop receiving signals. The last server restores the host's handlers.

        Deferred signals are passed to the host once no server defers them any longer.
        """
        if threading.current_thread() is threading.main_thread():
            _process.remove(self)


class _HostHandler(Protocol):
    """A handler of the host that ours has replaced."""

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        """Run the host's handler."""

    def restore(self) -> bool:
        """Reinstall the host's handler; False if ours has been replaced in turn and may still be called."""


class _ProcessSignals:
    """The stop signals of this process: the host's handlers, and the servers that are called before them."""

    def __init__(self) -> None:
        self._servers: list[HostSignals] = []
        self._host: dict[int, _HostHandler] = {}
        self._deferred: dict[int, None] = {}
        self._deferring: list[HostSignals] = []
        self._requests = StopRequests()

    def add(self, server: HostSignals) -> None:
        if server not in self._servers:
            self._servers.append(server)
        for number in SIGNALS:
            if number not in self._host and (found := _replace_handler(number, self._on_signal)) is not None:
                self._host[number] = found

    def remove(self, server: HostSignals) -> None:
        self._servers = [other for other in self._servers if other is not server]
        self._deferring = [other for other in self._deferring if other is not server]
        if not self._deferring:
            deferred, self._deferred = self._deferred, {}
            for number in deferred:
                self._pass_on(number, None)
        if not self._servers:
            self._requests = StopRequests()
            # A handler that cannot be restored keeps passing signals on.
            self._host = {number: handler for number, handler in self._host.items() if not handler.restore()}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        repeated = self._requests.is_repeated(monotonic())
        self._deferring = [server for server in tuple(self._servers) if server.on_stop_signal(repeated)]
        if self._deferring:
            self._deferred[number] = None
        else:
            self._deferred.clear()
            self._pass_on(number, frame)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        handler = self._host.get(number)
        if handler is not None:
            handler.pass_on(number, frame)


class _ProcessHandler:
    """Replaces a handler that was installed by `signal.signal`."""

    def __init__(self, number: int, callback: SignalCallback) -> None:
        self._number = number
        self._callback = callback
        self._previous: Any = signal.signal(number, callback)

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        self._previous(number, frame)

    def restore(self) -> bool:
        if signal.getsignal(self._number) != self._callback:
            return False
        signal.signal(self._number, self._previous)
        return True


class _LoopHandler:
    """Replaces a handler that was installed by `loop.add_signal_handler`."""

    def __init__(self, number: int, callback: SignalCallback, loop: asyncio.AbstractEventLoop) -> None:
        self._number = number
        self._loop = loop
        self._previous = _handlers_of(loop)[number]
        loop.add_signal_handler(number, callback, number, None)
        self._ours = _handlers_of(loop)[number]

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        if self.restore():
            signal.raise_signal(number)

    def restore(self) -> bool:
        handlers = _handlers_of(self._loop)
        if handlers.get(self._number) is self._ours:
            handlers[self._number] = self._previous
        return True


def _replace_handler(number: int, callback: SignalCallback) -> _HostHandler | None:
    """Replace the host's handler; None if the host has installed none."""
    try:
        loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        loop = None
    if loop is not None and number in _handlers_of(loop):
        return _LoopHandler(number, callback, loop)
    if signal.getsignal(number) in DEFAULT_HANDLERS:
        return None
    return _ProcessHandler(number, callback)


def _handlers_of(loop: asyncio.AbstractEventLoop) -> dict[int, asyncio.Handle]:
    """Return the loop's own handlers; empty if it does not expose them (see `LOOP_HANDLERS`)."""
    handlers = getattr(loop, LOOP_HANDLERS, None)
    return handlers if isinstance(handlers, dict) else {}


_process = _ProcessSignals()
