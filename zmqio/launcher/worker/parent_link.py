"""A worker's end of a socket to who gives it connections: these come in, reports go out.

That is its parent or, where several processes accept, each of those; its parent then hands it the links to them.
"""

import asyncio
import socket
import struct
from collections.abc import Callable

import structlog

from zmqio.launcher.worker.messages import Closed, Report, Stopping, encode

__all__ = ["ParentLink"]

log = structlog.get_logger(__name__)

TAKES_A_TURN = 64
"""Most connections that are taken in one turn of the loop, so that those that are open get theirs."""
FINISH_LIMIT_S = 2.0
"""How long the other end may take to answer that nothing more will come."""
_SPACE = socket.CMSG_LEN(struct.calcsize("i"))
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class ParentLink:
    """Takes what the other end hands over.

    Args:
        link: one end of a pair of stream sockets.
        take: gets every socket.
        lost: called for a socket that came to nothing, because this process may open no more files.
        gone: called when the other end was closed unasked.
    """

    def __init__(
        self,
        link: socket.socket,
        *,
        take: Callable[[socket.socket], None],
        lost: Callable[[], None],
        gone: Callable[[], None],
    ) -> None:
        link.setblocking(False)
        self._socket = link
        self._take = take
        self._lost = lost
        self._gone = gone
        self._unsent = b""
        self._closed = 0
        self._is_open = False
        self._ended = asyncio.Event()
        self._is_finishing = False

    def open(self) -> None:
        """Begin to take connections."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._read)
        self._is_open = True

    def tell(self, report: Report) -> None:
        """Send a report; what the socket does not take at once follows when it does."""
        if self._is_open:
            self._unsent += encode(report)
            self._flush()

    def tell_closed(self, count: int) -> None:
        """Report that `count` more connections have ended; many become one report while the parent is busy."""
        self._closed += count
        if self._is_open and not self._unsent:
            self._flush()

    async def finish(self) -> None:
        """Let the other end send no more, and take what is on its way; after 2 s without its answer go on."""
        if not self._is_open:
            return
        self._is_finishing = True
        self.tell(Stopping())
        try:
            await asyncio.wait_for(self._ended.wait(), FINISH_LIMIT_S)
        except TimeoutError:
            log.warning("stop_not_answered", limit_s=FINISH_LIMIT_S)

    def close(self) -> None:
        """Close this end, if it was opened; to be called in the loop."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()

    def _read(self) -> None:
        for _ in range(TAKES_A_TURN):
            try:
                # Not `recv_fds`, which ignores its flags: what the app starts would inherit every connection.
                data, passed, _, _ = self._socket.recvmsg(1, _SPACE, _CLOEXEC)
            except BlockingIOError:
                return
            except OSError:
                data, passed = b"", []
            if not data:
                self._has_ended()
                return
            if passed:
                (fd,) = struct.unpack("i", passed[0][2])
                self._take(socket.socket(fileno=fd))
            else:
                log.error("connection_lost_no_more_files", hint="raise the limit of open files (ulimit -n)")
                self._lost()

    def _has_ended(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._ended.set()
        if not self._is_finishing:
            self._gone()

    def _flush(self) -> None:
        if self._closed and not self._unsent:
            self._unsent, self._closed = encode(Closed(self._closed)), 0
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent, self._closed = b"", 0  # the end of the socket tells the rest
        if self._unsent or self._closed:
            self._loop.add_writer(self._socket.fileno(), self._flush)
        else:
            self._loop.remove_writer(self._socket.fileno())
