"""PUSH sockets to the ingest of one or more brokers, for senders that are not nodes.

With ZeroMQ's defaults a PUSH without a broker takes the message and loses it when the process ends. Here
(IMMEDIATE) only a connected broker takes one, and when none does in time the sender gets an error.

Queue and policy: at most `queue_messages` wait for each broker; what a full queue does not take in time is an
error. What was taken and not yet sent when a broker dies is lost without a word (at most once).
"""

import asyncio
import atexit
import os
import threading
import time
import weakref
from collections.abc import Sequence

from zmqio.exceptions import BusUnavailableError, ConfigError
from zmqio.zeromq.context import ProcessContext
from zmqio.zeromq.endpoints import endpoints_of
from zmqio.zeromq.push_sockets import PushSockets

__all__ = ["AsyncPush", "Push"]

# A connection that comes up tells a socket's FD, but so do other things: look again after this long at the latest.
LOOK_AGAIN_S = 0.1


class _PushProcess:
    """What a `Push` has in one process: a forked child has its own, so it meets no lock held by its parent."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sockets: PushSockets | None = None


class Push:
    """Sends from any thread, without an event loop; may be used on both sides of a fork.

    Args:
        addresses: base address of each broker; each gets every message while it is connected.
        send_timeout_s: seconds that a message waits for a broker that takes it.
        linger_s: seconds that `close`, and the end of the interpreter, wait for what is queued.
        queue_messages: most messages that wait for each broker.

    Raises:
        ConfigError: no address, or one that cannot be.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        send_timeout_s: float = 5.0,
        linger_s: float = 1.0,
        queue_messages: int = 10_000,
    ) -> None:
        _check(addresses)
        self._addresses = tuple(addresses)
        self._send_timeout_s = send_timeout_s
        self._linger_s = linger_s
        self._queue_messages = queue_messages
        self._context = ProcessContext()
        self._by_pid: dict[int, _PushProcess] = {}
        _open_pushes.add(self)

    def send(self, frame: bytes) -> None:
        """Queue one message on every broker that is connected; waits for the first if none is.

        Raises:
            BusUnavailableError: no broker took it within `send_timeout_s`; it was not sent.
        """
        here = self._here()
        with here.lock:
            if here.sockets is None:
                here.sockets = PushSockets(self._context.get(), self._addresses, self._queue_messages)
            deadline_s = time.monotonic() + self._send_timeout_s
            while not here.sockets.offer(frame):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise _unavailable(self._addresses, self._send_timeout_s)
                here.sockets.wait(min(left_s, LOOK_AGAIN_S))

    def close(self) -> None:
        """Wait until what is queued has left, `linger_s` at most. A later `send` opens it again."""
        here = self._here()
        with here.lock:
            if here.sockets is not None:
                here.sockets.close(self._linger_s)
                here.sockets = None
                self._context.term()

    def _here(self) -> _PushProcess:
        pid = os.getpid()
        return self._by_pid.get(pid) or self._by_pid.setdefault(pid, _PushProcess())


class AsyncPush:
    """Sends from one event loop at a time without blocking it. Not thread-safe; for a fork, make it in the child.

    Args:
        addresses, send_timeout_s, linger_s, queue_messages: as of `Push`.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        send_timeout_s: float = 5.0,
        linger_s: float = 1.0,
        queue_messages: int = 10_000,
    ) -> None:
        _check(addresses)
        self._addresses = tuple(addresses)
        self._send_timeout_s = send_timeout_s
        self._linger_s = linger_s
        self._queue_messages = queue_messages
        self._context = ProcessContext()
        self._sockets: PushSockets | None = None
        self._turn = asyncio.Lock()

    async def send(self, frame: bytes) -> None:
        """Queue one message on every broker that is connected; waits for the first if none is.

        Messages leave in the order of the calls.

        Raises:
            BusUnavailableError: no broker took it within `send_timeout_s`; it was not sent.
        """
        try:
            async with asyncio.timeout(self._send_timeout_s), self._turn:
                if self._sockets is None:
                    self._sockets = PushSockets(self._context.get(), self._addresses, self._queue_messages)
                while not self._sockets.offer(frame):
                    await _something_happens(self._sockets.fds)
        except TimeoutError:
            raise _unavailable(self._addresses, self._send_timeout_s) from None

    async def close(self) -> None:
        """Wait until what is queued has left, `linger_s` at most. A later `send` opens it again."""
        async with self._turn:
            if self._sockets is not None:
                self._sockets.close(self._linger_s)
                self._sockets = None
                await asyncio.to_thread(self._context.term)

    def close_sync(self) -> None:
        """Do what `close` does, without an event loop: when nobody called it. Does nothing in a forked child."""
        if self._sockets is not None and self._context.is_here():
            self._sockets.close(self._linger_s)
            self._sockets = None
            self._context.term()


async def _something_happens(fds: Sequence[int]) -> None:
    """Wait until one of `fds` tells of a change."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    for fd in fds:
        loop.add_reader(fd, changed.set)
    again = loop.call_later(LOOK_AGAIN_S, changed.set)
    try:
        await changed.wait()
    finally:
        again.cancel()
        for fd in fds:
            loop.remove_reader(fd)


def _check(addresses: Sequence[str]) -> None:
    if not addresses:
        raise ConfigError("no broker address given; write for example 'tcp://127.0.0.1:5555'")
    for address in addresses:
        endpoints_of(address)


def _unavailable(addresses: Sequence[str], waited_s: float) -> BusUnavailableError:
    return BusUnavailableError(
        f"no broker took the message in {waited_s:g} s; tried: {', '.join(addresses)} "
        "(is it running, and is its ingest reachable from here?)"
    )


_open_pushes: weakref.WeakSet[Push] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """A script that sends and ends must not take its messages with it."""
    for push in tuple(_open_pushes):
        push.close()
