"""Pushes messages to the ingest endpoint of one or more brokers, for publishers that are not nodes.

By default, a PUSH socket without a broker accepts messages and loses them when the process ends. Here (with
ZeroMQ's IMMEDIATE option) only a connected broker accepts a message, and if none does in time, the publisher gets
an error.

Queue and policy: at most `queue_messages` wait for each broker; a message that a full queue does not accept in
time is an error. Messages that were accepted but not yet sent when a broker dies are lost without notice (at most
once).
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
from zmqio.zeromq.curve import LoadedCurve
from zmqio.zeromq.endpoints import endpoints_of
from zmqio.zeromq.push_sockets import PushSockets

__all__ = ["AsyncPush", "Push"]

# A new connection makes a socket's file descriptor readable, but so do other events: check at least this often.
CHECK_INTERVAL_S = 0.1


class _PushOfProcess:
    """The state of a `Push` in one process. A forked child creates its own, so locks are never shared."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sockets: PushSockets | None = None


class Push:
    """Pushes messages from any thread, without an event loop; usable on both sides of a fork.

    Args:
        addresses: base address of each broker. Every message is sent to each broker that is connected.
        send_timeout_s: seconds to wait for a broker that accepts a message.
        linger_s: seconds that `close`, and the end of the interpreter, wait for queued messages to be sent.
        queue_messages: most messages queued for each broker.
        keys: the keys for each broker; empty if none requires keys.

    Raises:
        ConfigError: there is no address, or one is invalid.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        send_timeout_s: float = 5.0,
        linger_s: float = 1.0,
        queue_messages: int = 10_000,
        keys: Sequence[LoadedCurve | None] = (),
    ) -> None:
        _check(addresses)
        self._addresses = tuple(addresses)
        self._keys = keys
        self._send_timeout_s = send_timeout_s
        self._linger_s = linger_s
        self._queue_messages = queue_messages
        self._context = ProcessContext()
        self._by_pid: dict[int, _PushOfProcess] = {}
        _open_pushes.add(self)

    def send(self, frame: bytes) -> None:
        """Queue one message for every connected broker; if none is connected, wait for the first.

        Raises:
            BusUnavailableError: no broker accepted it within `send_timeout_s`; it was not sent.
        """
        here = self._of_this_process()
        with here.lock:
            if here.sockets is None:
                here.sockets = PushSockets(self._context.get(), self._addresses, self._queue_messages, self._keys)
            deadline_s = time.monotonic() + self._send_timeout_s
            while not here.sockets.offer(frame):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise _unavailable(self._addresses, self._send_timeout_s, here.sockets.problem)
                here.sockets.wait(min(left_s, CHECK_INTERVAL_S))

    def close(self) -> None:
        """Wait until queued messages are sent, at most `linger_s`. A later `send` connects again."""
        here = self._of_this_process()
        with here.lock:
            if here.sockets is not None:
                here.sockets.close(self._linger_s)
                here.sockets = None
                self._context.term()

    def _of_this_process(self) -> _PushOfProcess:
        pid = os.getpid()
        return self._by_pid.get(pid) or self._by_pid.setdefault(pid, _PushOfProcess())


class AsyncPush:
    """Pushes messages from an event loop without blocking it. Not thread-safe; a forked child needs another.

    Args:
        addresses, send_timeout_s, linger_s, queue_messages, keys: as for `Push`.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        send_timeout_s: float = 5.0,
        linger_s: float = 1.0,
        queue_messages: int = 10_000,
        keys: Sequence[LoadedCurve | None] = (),
    ) -> None:
        _check(addresses)
        self._addresses = tuple(addresses)
        self._keys = keys
        self._send_timeout_s = send_timeout_s
        self._linger_s = linger_s
        self._queue_messages = queue_messages
        self._context = ProcessContext()
        self._sockets: PushSockets | None = None
        self._send_lock = asyncio.Lock()

    async def send(self, frame: bytes) -> None:
        """Queue one message for every connected broker; if none is connected, wait for the first.

        Messages are sent in the order of the calls.

        Raises:
            BusUnavailableError: no broker accepted it within `send_timeout_s`; it was not sent.
        """
        try:
            async with asyncio.timeout(self._send_timeout_s), self._send_lock:
                if self._sockets is None:
                    self._sockets = PushSockets(
                        self._context.get(), self._addresses, self._queue_messages, self._keys
                    )
                while not self._sockets.offer(frame):
                    await _wait_for_change(self._sockets.fds)
        except TimeoutError:
            problem = self._sockets.problem if self._sockets is not None else ""
            raise _unavailable(self._addresses, self._send_timeout_s, problem) from None

    async def close(self) -> None:
        """Wait until queued messages are sent, at most `linger_s`. A later `send` connects again."""
        async with self._send_lock:
            if self._sockets is not None:
                self._sockets.close(self._linger_s)
                self._sockets = None
                await asyncio.to_thread(self._context.term)

    def close_sync(self) -> None:
        """Do what `close` does, without an event loop, unless it was called. Does nothing in a forked child."""
        if self._sockets is not None and self._context.exists_here():
            self._sockets.close(self._linger_s)
            self._sockets = None
            self._context.term()


async def _wait_for_change(fds: Sequence[int]) -> None:
    """Wait until one of `fds` becomes readable, at most `CHECK_INTERVAL_S`."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    for fd in fds:
        loop.add_reader(fd, changed.set)
    timer = loop.call_later(CHECK_INTERVAL_S, changed.set)
    try:
        await changed.wait()
    finally:
        timer.cancel()
        for fd in fds:
            loop.remove_reader(fd)


def _check(addresses: Sequence[str]) -> None:
    if not addresses:
        raise ConfigError("no broker address given; write for example 'tcp://127.0.0.1:5555'")
    for address in addresses:
        endpoints_of(address)


def _unavailable(addresses: Sequence[str], waited_s: float, problem: str) -> BusUnavailableError:
    reason = problem or (
        "Check that the broker is running and that its ingest endpoint (base port + 3) is reachable from here"
    )
    return BusUnavailableError(
        f"no broker accepted the message within {waited_s:g} s; tried {', '.join(addresses)}. {reason}"
    )


_open_pushes: weakref.WeakSet[Push] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Send queued messages before the interpreter ends."""
    for push in tuple(_open_pushes):
        push.close()
