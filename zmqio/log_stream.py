"""A text stream for log lines whose reader can never make the writer wait.

A line that a full pipe, a full disk or a closed descriptor does not take is lost, and the writer gets the error.
A terminal and a file are written as usual.
"""

import os
import select
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

__all__ = ["LogStream"]

_CHUNK_BYTES = select.PIPE_BUF
"""A writable pipe accepts at least this many bytes without waiting. Source: pipe(7)."""


class LogStream:
    """A stream for log lines over one of the standard streams.

    Args:
        find: returns the stream to write to, which may be another one at every call; None if there is none.
    """

    def __init__(self, find: Callable[[], TextIO | None]) -> None:
        self._find = find
        self._identity: tuple[int, int, int] | None = None
        self._write_some: Callable[[bytes], int]
        self._release: Callable[[], None] = _nothing
        self._torn = False

    def write(self, text: str) -> int:
        """Write a line. Characters that the stream's encoding does not have are escaped.

        Raises:
            OSError: the line, or its end, is lost: the reader does not read, the disk is full, the pipe is closed.
        """
        stream = self._find()
        if stream is None:
            return 0
        descriptor = _descriptor_of(stream)
        if descriptor is None:
            stream.write(text)
            stream.flush()
            return len(text)
        self._open(descriptor)
        data = text.encode(stream.encoding or "utf-8", "backslashreplace")
        self._write_all(b"\n" + data if self._torn else data)
        return len(text)

    def flush(self) -> None:
        """Do nothing: every write is complete."""

    def close(self) -> None:
        """Close what was opened here; the stream itself stays open."""
        self._release()
        self._release, self._identity = _nothing, None

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        stream = self._find()
        return stream is not None and stream.isatty()

    def _write_all(self, data: bytes) -> None:
        whole = len(data)
        try:
            while data:
                data = data[self._write_some(data) :]
        except OSError:
            self._torn = self._torn or len(data) < whole
            raise
        self._torn = False

    def _open(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        identity = (descriptor, status.st_dev, status.st_ino)
        if identity != self._identity:
            self.close()
            self._write_some, self._release = _writer(descriptor, status.st_mode)
            self._identity = identity


def _nothing() -> None:
    pass


def _descriptor_of(stream: TextIO) -> int | None:
    with suppress(OSError, AttributeError):  # not a file, but a buffer of a test or of a notebook
        return stream.fileno()
    return None


def _writer(descriptor: int, mode: int) -> tuple[Callable[[bytes], int], Callable[[], None]]:
    """Return a function that writes some bytes without waiting, and one that releases what it uses."""
    if stat.S_ISSOCK(mode):
        connection = socket.socket(fileno=os.dup(descriptor))
        return lambda data: connection.send(data, socket.MSG_DONTWAIT), connection.close
    if stat.S_ISFIFO(mode):
        # `O_NONBLOCK` on the descriptor itself would also apply to the other processes that share it.
        with suppress(OSError):
            own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            return lambda data: os.write(own, data), lambda: os.close(own)
        return lambda data: _write_if_ready(descriptor, data), _nothing
    return lambda data: os.write(descriptor, data), _nothing


def _write_if_ready(descriptor: int, data: bytes) -> int:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if not poll.poll(0):
        raise BlockingIOError("the reader of the log does not read")
    return os.write(descriptor, data[:_CHUNK_BYTES])
