"""Senders of publishers that are not nodes: push frames to brokers, and confirm that a broker has them.

A flush message goes behind all frames sent before. The broker remembers its token, and a control endpoint is asked
about it (see `zmqio.zeromq.flush_check`).
"""

import asyncio
import os
import secrets
import threading
import time
from collections.abc import Iterator, Sequence

from zmqio.exceptions import BusUnavailableError, RequestTimeoutError
from zmqio.zeromq.curve import LoadedCurve
from zmqio.zeromq.flush_check import FLUSH_PREFIX, FLUSH_TOKEN_BYTES, FlushCheck
from zmqio.zeromq.push import AsyncPush, Push

__all__ = ["AsyncPushSender", "PushSender", "flush_pauses_s", "flush_timeout", "make_flush"]

FLUSH_FIRST_PAUSE_S = 0.1
FLUSH_LONGEST_PAUSE_S = 0.5


class _FlushOfProcess:
    """The flush check of one process. A forked child creates its own, so locks are never shared."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.check: FlushCheck | None = None


class PushSender:
    """Sends from any thread, without an event loop; usable on both sides of a fork.

    Args:
        addresses: base address of each broker. Every frame is sent to each broker that is connected.
        keys: the keys for each broker; empty if none requires keys.
        send_timeout_s: seconds to wait for a broker that accepts a frame.
        close_timeout_s: seconds that `close`, and the end of the interpreter, wait for queued frames to be sent.
        queue_messages: most frames queued for each broker.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        keys: Sequence[LoadedCurve | None] = (),
        *,
        send_timeout_s: float,
        close_timeout_s: float,
        queue_messages: int,
    ) -> None:
        self.addresses = tuple(addresses)
        self._keys = keys
        self._push = Push(
            addresses,
            send_timeout_s=send_timeout_s,
            linger_s=close_timeout_s,
            queue_messages=queue_messages,
            keys=keys,
        )
        self._by_pid: dict[int, _FlushOfProcess] = {}

    def send(self, frame: bytes) -> None:
        """Queue one frame for every connected broker; if none is connected, wait for the first.

        Raises:
            BusUnavailableError: no broker accepted it within `send_timeout_s`; it was not sent.
        """
        self._push.send(frame)

    def flush(self, timeout_s: float) -> None:
        """Wait until a broker has all frames sent before.

        Raises:
            BusUnavailableError: no broker was connected within `send_timeout_s`, or another thread flushes.
            RequestTimeoutError: no broker confirmed within `timeout_s`.
        """
        here = self._of_this_process()
        ends_at_s = time.monotonic() + timeout_s
        if not here.lock.acquire(timeout=timeout_s):
            raise BusUnavailableError(
                f"nothing was confirmed: another thread has been waiting for {', '.join(self.addresses)} for "
                f"{timeout_s:g} s. Check that the broker is running (`zmqio broker` starts one)"
            )
        try:
            here.check = here.check or FlushCheck(self.addresses, self._keys)
            frame, token = make_flush()
            for pause_s in flush_pauses_s():
                self._push.send(frame)
                if here.check.wait_for(token, min(pause_s, max(0.0, ends_at_s - time.monotonic()))):
                    return
                if time.monotonic() >= ends_at_s:
                    raise flush_timeout(self.addresses, timeout_s)
        finally:
            here.lock.release()

    def close(self) -> None:
        """Wait until queued frames are sent, at most `close_timeout_s`. A later `send` connects again."""
        self._push.close()
        here = self._of_this_process()
        with here.lock:
            if here.check is not None:
                here.check.close()
                here.check = None

    def close_sync(self) -> None:
        """Do what `close` does for frames, when the emitter is collected."""
        self._push.close()

    def _of_this_process(self) -> _FlushOfProcess:
        pid = os.getpid()
        return self._by_pid.get(pid) or self._by_pid.setdefault(pid, _FlushOfProcess())


class AsyncPushSender:
    """Sends from an event loop without blocking it. Not thread-safe; a forked child needs another.

    Args:
        addresses, keys, send_timeout_s, close_timeout_s, queue_messages: as for `PushSender`.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        keys: Sequence[LoadedCurve | None] = (),
        *,
        send_timeout_s: float,
        close_timeout_s: float,
        queue_messages: int,
    ) -> None:
        self.addresses = tuple(addresses)
        self._keys = keys
        self._push = AsyncPush(
            addresses,
            send_timeout_s=send_timeout_s,
            linger_s=close_timeout_s,
            queue_messages=queue_messages,
            keys=keys,
        )
        self._flushing = asyncio.Lock()
        self._check: FlushCheck | None = None

    async def send(self, frame: bytes) -> None:
        """Queue one frame for every connected broker; if none is connected, wait for the first.

        Raises:
            BusUnavailableError: no broker accepted it within `send_timeout_s`; it was not sent.
        """
        await self._push.send(frame)

    async def flush(self, timeout_s: float) -> None:
        """Wait until a broker has all frames sent before.

        Raises:
            BusUnavailableError: no broker was connected within `send_timeout_s`.
            RequestTimeoutError: no broker confirmed within `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s) as limit, self._flushing:
                await self._flush()
        except TimeoutError:
            if not limit.expired():
                raise
            raise flush_timeout(self.addresses, timeout_s) from None

    async def close(self) -> None:
        """Wait until queued frames are sent, at most `close_timeout_s`. A later `send` connects again."""
        await self._push.close()
        async with self._flushing:
            if self._check is not None:
                self._check.close()
                self._check = None

    def close_sync(self) -> None:
        """Do what `close` does for frames, without an event loop. Does nothing in a forked child."""
        self._push.close_sync()

    async def _flush(self) -> None:
        self._check = self._check or FlushCheck(self.addresses, self._keys)
        frame, token = make_flush()
        for pause_s in flush_pauses_s():
            await self._push.send(frame)
            if await self._check.wait_for_async(token, pause_s):
                return


def make_flush() -> tuple[bytes, bytes]:
    """Make a flush message; return the frame, and its token, which is random."""
    token = secrets.token_bytes(FLUSH_TOKEN_BYTES)
    return FLUSH_PREFIX + token, token


def flush_pauses_s() -> Iterator[float]:
    """Yield the seconds to wait after each copy of a flush message; a copy is lost if its broker restarts."""
    pause_s = FLUSH_FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, FLUSH_LONGEST_PAUSE_S)


def flush_timeout(addresses: Sequence[str], waited_s: float) -> RequestTimeoutError:
    """Return the error of a flush that no broker has confirmed."""
    return RequestTimeoutError(
        f"{', '.join(addresses)} confirmed no flush message within {waited_s:g} s; emitted requests may not have "
        "reached the broker. Check that its control endpoint (the base port) is reachable from here"
    )
