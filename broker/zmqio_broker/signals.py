"""Waiting for the signals that stop the broker, without a handler.

They are blocked in every thread and taken by one that does nothing else. So no call is interrupted anywhere, and a
second Ctrl-C cannot break a stop that is under way.
"""

import contextlib
import os
import queue
import signal
import threading

__all__ = ["END_OF_INPUT", "StopSignals"]

END_OF_INPUT = "EOF"
"""In place of a signal's name."""

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """SIGINT and SIGTERM of this process; to be made by the main thread before any other thread is started."""

    def __init__(self) -> None:
        # Bounded by what Linux keeps pending, one of each kind, and one end of a pipe.
        self._received: queue.SimpleQueue[str] = queue.SimpleQueue()
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        threading.Thread(target=self._take, name="signals", daemon=True).start()

    def wait(self, timeout_s: float) -> str | None:
        """Return the name of a signal that has come; None if none came within `timeout_s` seconds."""
        try:
            return self._received.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def stop_with(self, fd: int) -> None:
        """Take the end of a pipe for a signal too, named `END_OF_INPUT`: who holds its other end has ended."""
        try:
            os.fstat(fd)
        except OSError:  # closed already; looked at now, for the next file that is opened gets its number
            self._received.put(END_OF_INPUT)
            return
        threading.Thread(target=self._read_to_end, args=(fd,), name="parent", daemon=True).start()

    def _read_to_end(self, fd: int) -> None:
        with contextlib.suppress(OSError):
            while os.read(fd, 1024):
                pass
        self._received.put(END_OF_INPUT)

    def _take(self) -> None:
        # Not sigtimedwait in the main thread: when the process is stopped and continued (SIGSTOP, SIGCONT) for
        # longer than its timeout, CPython 3.11 returns a siginfo that nobody has filled in.
        while True:
            self._received.put(signal.Signals(signal.sigwait(_STOP_SIGNALS)).name)
