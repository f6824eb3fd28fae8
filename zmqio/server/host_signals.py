"""Begin to close when the host is told to stop.

An ASGI server that is told to stop (SIGTERM, SIGINT) first waits for open responses, then ends the lifespan, and
some end by the signal itself, without ever running exit functions. A parked long-poll would hold it up, and where
a mounted app gets no lifespan the other nodes would never hear a goodbye. So the host's own handler runs as
before, and the server begins to close at the same moment.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["HostSignals"]

SIGNALS = (signal.SIGTERM, signal.SIGINT)
NOBODYS = (None, signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler)
"""Handlers that no host has installed; what they do (end, ignore, raise) is left as it is."""


class HostSignals:
    """Wraps the signal handlers that the host has installed.

    Args:
        told_to_stop: called before the host's own handler, in the main thread, between any two instructions: it
            may only schedule something.
    """

    def __init__(self, told_to_stop: Callable[[], None]) -> None:
        self._told_to_stop = told_to_stop
        self._wrapped: dict[int, Any] = {}

    def wrap(self) -> None:
        """Wrap what is there; nothing happens outside the main thread, where no handler can be set."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            previous = signal.getsignal(number)
            if previous not in NOBODYS and number not in self._wrapped:
                self._wrapped[number] = previous
                signal.signal(number, self._handle)

    def unwrap(self) -> None:
        """Put the host's handlers back, where they were not replaced meanwhile."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, previous in list(self._wrapped.items()):
            if signal.getsignal(number) == self._handle:
                signal.signal(number, previous)
                del self._wrapped[number]
            # else another server has wrapped this handler: it goes on to hand the signal through

    def _handle(self, number: int, frame: FrameType | None) -> None:
        previous = self._wrapped.get(number)
        self._told_to_stop()
        if previous is not None:
            previous(number, frame)
