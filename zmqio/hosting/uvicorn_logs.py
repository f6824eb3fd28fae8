"""Keeps uvicorn's log lines, such as the access log, from blocking the event loop.

Uvicorn writes them to its standard streams from the event loop. If the reader of a pipe hangs, so does the node.
"""

import logging
import sys

from zmqio.log_stream import LogStream

__all__ = ["keep_logs_from_blocking"]

_LOGGERS = ("uvicorn", "uvicorn.access", "uvicorn.error")


def keep_logs_from_blocking() -> None:
    """Make uvicorn's handlers of the standard streams drop lines that nobody reads; leave other handlers alone."""
    for name in _LOGGERS:
        for handler in logging.getLogger(name).handlers:
            if type(handler) is not logging.StreamHandler:
                continue
            for standard in ("stdout", "stderr"):
                if handler.stream is getattr(sys, standard):
                    handler.setStream(_LossyStream(standard))


class _LossyStream(LogStream):
    """Drops lines that cannot be written, and writes their number once a line can be written again.

    Args:
        name: name of the standard stream in `sys`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(lambda: getattr(sys, name))
        self._lost = 0

    def write(self, text: str) -> int:
        try:
            written = super().write(text)
            if self._lost:
                super().write(f"WARNING:  {self._lost} log lines were lost\n")
        except (OSError, ValueError):
            self._lost += 1
            return 0
        self._lost = 0
        return written
