"""One end of a socket over which lines go out, and open sockets with them (SCM_RIGHTS), while lines come in."""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

__all__ = ["FdPassingLink"]

log = structlog.get_logger(__name__)

_READ_BYTES = 1 << 16

Said = TypeVar("Said")


class FdPassingLink(Generic[Said]):
    """A link of the running loop.

    Args:
        link: one end of a pair of stream sockets.
        most_waiting: lines that wait here for an end that does not take them.
        read: puts together what comes in pieces; `ValueError` if it is nothing that the other end may say.
        heard: gets everything that was said.
        ended: called at the end of the socket.
        malformed: the log event of what `read` refuses; the link is broken then.

    Attributes:
        broken: whether the other end is gone.
    """

    def __init__(
        self,
        link: socket.socket,
        *,
        most_waiting: int,
        read: Callable[[bytes], list[Said]],
        heard: Callable[[Said], None],
        ended: Callable[[], None],
        malformed: str,
    ) -> None:
        link.setblocking(False)
        self.broken = False
        self._socket = link
        self._most_waiting = most_waiting
        self._read_pieces = read
        self._heard = heard
        self._ended = ended
        self._malformed = malformed
        self._waiting: deque[tuple[bytes, socket.socket | None]] = deque()
        self._is_finishing = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(link.fileno(), self._read)

    @property
    def is_over(self) -> bool:
        """Whether nothing is taken any more: the other end is gone, or sees the end soon."""
        return self.broken or self._is_finishing

    def offer(self, line: bytes, passed: socket.socket | None = None) -> bool:
        """Send a line, and a socket that is closed here then; what is not taken at once follows when it is.

        Returns:
            False if the link is over, or `most_waiting` wait already: the socket is still the caller's.
        """
        if self.is_over:
            return False
        if not self._waiting and self._send(line, passed):
            return True
        if self.broken or len(self._waiting) >= self._most_waiting:
            return False
        if not self._waiting:
            self._loop.add_writer(self._socket.fileno(), self._flush)
        self._waiting.append((line, passed))
        return True

    def finish(self) -> None:
        """Let the other end see the end of the socket, behind all that it was sent."""
        self._is_finishing = True
        if not self._waiting:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def read_rest(self) -> None:
        """Hear what an ended process has still said."""
        while not self.broken and self._read():
            pass

    def close(self) -> None:
        """Close this end, and what still waits."""
        if self._socket.fileno() >= 0:
            self._stop()
            self._socket.close()

    def _send(self, line: bytes, passed: socket.socket | None) -> bool:
        """Whether it was sent, whole: the kernel takes all of a line so short, or nothing."""
        # As `socket.send_fds` does, without making an array for one number.
        rights = () if passed is None else ((socket.SOL_SOCKET, socket.SCM_RIGHTS, _packed(passed)),)
        try:
            self._socket.sendmsg((line,), rights)
        except BlockingIOError:
            return False
        except OSError:
            self._break()
            return False
        if passed is not None:
            passed.close()
        return True

    def _flush(self) -> None:
        while self._waiting and self._send(*self._waiting[0]):
            self._waiting.popleft()
        if self._waiting:
            return
        self._loop.remove_writer(self._socket.fileno())
        if self._is_finishing:
            self.finish()

    def _read(self) -> bool:
        """Hear what there is; whether there was anything."""
        try:
            data = self._socket.recv(_READ_BYTES)
            said = self._read_pieces(data)
        except BlockingIOError:
            return False
        except OSError:
            data, said = b"", []
        except ValueError as error:
            log.error(self._malformed, error=str(error))  # noqa: TRY400
            data, said = b"", []
        if not data:
            self._stop()
        for each in said:
            self._heard(each)
        if not data:
            self._ended()
        return bool(data)

    def _stop(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._break()

    def _break(self) -> None:
        self.broken = True
        for _, passed in self._waiting:
            if passed is not None:
                passed.close()
        self._waiting.clear()


def _packed(passed: socket.socket) -> bytes:
    return struct.pack("i", passed.fileno())
