"""A stream for log lines whose reader can never make the broker wait.

A line that a full pipe, a full disk or a closed descriptor does not take is dropped. `zmqio` has such a
stream, too, but the two distributions never import each other.
"""

import os
import select
import stat
from typing import TextIO

__all__ = ["LossyStream"]


class LossyStream:
    """A stream over another one that drops what cannot be written at once.

    Args:
        stream: the other one, with or without a file descriptor.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        try:
            self._descriptor = _without_waiting(stream.fileno())
        except (OSError, ValueError):  # a buffer in memory
            self._descriptor = -1

    def write(self, text: str) -> int:
        """Write a line or drop it. Returns the number of characters, or 0."""
        try:
            if self._descriptor < 0:
                return self._stream.write(text)
            _write(self._descriptor, text.encode(errors="backslashreplace"))
        except (OSError, ValueError):
            return 0
        return len(text)

    def flush(self) -> None:
        """Flush the other stream; a stream with a descriptor has written everything."""
        try:
            if self._descriptor < 0:
                self._stream.flush()
        except (OSError, ValueError):
            return


def _without_waiting(descriptor: int) -> int:
    """Return a descriptor of the same file; of a pipe, one that does not wait where the system allows that."""
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        try:
            # `O_NONBLOCK` on the descriptor itself would also apply to other processes that share it.
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return descriptor
    return descriptor


def _write(descriptor: int, data: bytes) -> None:
    """Write all.

    Raises:
        OSError: the reader does not read, or the system refuses.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    while data:
        if not poll.poll(0):
            raise BlockingIOError("the reader of the log does not read")
        data = data[os.write(descriptor, data[: select.PIPE_BUF]) :]
