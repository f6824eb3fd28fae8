"""Waiting for the signals that stop the broker or reload its keys, without signal handlers.

The signals are blocked in every thread except one that only waits for them. No system call is ever interrupted,
and a second Ctrl-C cannot break a stop in progress.
"""

import contextlib
import os
import queue
import signal
import threading

__all__ = ["END_OF_INPUT", "RELOAD", "StopSignals"]

END_OF_INPUT = "EOF"
"""Returned by `wait` in place of a signal name."""

RELOAD = "SIGHUP"
"""Returned by `wait` when the keys shall be read again."""

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """SIGINT and SIGTERM of this process. The main thread must create it before it starts any other thread.

    Args:
        reloads: whether SIGHUP is received as well; otherwise it ends the process.
    """

    def __init__(self, *, reloads: bool = False) -> None:
        self._signals = (*_STOP_SIGNALS, signal.SIGHUP) if reloads else _STOP_SIGNALS
        # Bounded: Linux keeps one pending signal of each kind, and a pipe ends once.
        self._received: queue.SimpleQueue[str] = queue.SimpleQueue()
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        threading.Thread(target=self._wait_for_signals, name="signals", daemon=True).start()

    def wait(self, timeout_s: float) -> str | None:
        """Return the name of a received signal; None if there is none within `timeout_s` seconds."""
        try:
            return self._received.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def watch_pipe(self, fd: int) -> None:
        """Treat the end of a pipe as a signal named `END_OF_INPUT`: the process at its other end has died."""
        try:
            os.fstat(fd)
        except OSError:  # closed already; checked now, because the next opened file gets this number
            self._received.put(END_OF_INPUT)
            return
        threading.Thread(target=self._read_to_end, args=(fd,), name="parent", daemon=True).start()

    def _read_to_end(self, fd: int) -> None:
        with contextlib.suppress(OSError):
            while os.read(fd, 1024):
                pass
        self._received.put(END_OF_INPUT)

    def _wait_for_signals(self) -> None:
        # Not sigtimedwait in the main thread: if the process is suspended and continued (SIGSTOP, SIGCONT) for
        # longer than the timeout, CPython 3.11 returns an uninitialised siginfo.
        while True:
            self._received.put(signal.Signals(signal.sigwait(self._signals)).name)
