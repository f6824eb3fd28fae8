"""Asks brokers whether a flush message has arrived, for publishers that are not nodes.

A flush message travels behind the publisher's other messages to the ingest endpoint. The broker remembers its
token and answers requests about it on its control endpoint. A publisher needs no right to subscribe for this.

Source: `broker/zmqio_broker/ingest.py` and `control.py`.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import msgpack
import zmq

from zmqio.zeromq.context import ProcessContext, SyncSocket
from zmqio.zeromq.curve import LoadedCurve
from zmqio.zeromq.endpoints import endpoints_of
from zmqio.zeromq.socket_options import fd_of, set_connect_options

__all__ = ["FLUSH_PREFIX", "FLUSH_TOKEN_BYTES", "FlushCheck"]

FLUSH_PREFIX = b"\xffflush-"
"""First bytes of a flush message; its token follows."""
FLUSH_TOKEN_BYTES = 16
FIRST_PAUSE_S = 0.001
LONGEST_PAUSE_S = 0.05
ANSWER_LIMIT_S = 0.5
"""Seconds until an unanswered request is repeated: the broker may have been restarted."""


class FlushCheck:
    """Asks the control endpoint of every broker. Not thread-safe; a forked child needs another.

    Args:
        addresses: base address of each broker.
        keys: the keys for each broker; empty if none requires keys.
    """

    def __init__(self, addresses: Sequence[str], keys: Sequence[LoadedCurve | None] = ()) -> None:
        self._context = ProcessContext()
        self._sockets: list[SyncSocket] = []
        for address, key in zip_longest(addresses, keys):
            endpoint = endpoints_of(address).control
            socket = self._context.get().socket(zmq.DEALER)
            set_connect_options(socket, endpoint, key)
            # A request to a broker that is not connected is not queued: it is repeated.
            socket.setsockopt(zmq.IMMEDIATE, 1)
            socket.connect(endpoint)
            self._sockets.append(socket)

    def wait_for(self, token: bytes, timeout_s: float) -> bool:
        """Wait until any broker has the flush message with `token`; return False after `timeout_s` seconds."""
        poller = zmq.Poller()
        for socket in self._sockets:
            poller.register(socket, zmq.POLLIN)
        ends_at_s = time.monotonic() + timeout_s
        for pause_s in _pauses_s():
            self._ask(token)
            poller.poll(_milliseconds(min(ANSWER_LIMIT_S, ends_at_s - time.monotonic())))
            if self._has_arrived(token):
                return True
            if time.monotonic() >= ends_at_s:
                return False
            time.sleep(min(pause_s, max(0.0, ends_at_s - time.monotonic())))
        raise AssertionError("the pauses never end")

    async def wait_for_async(self, token: bytes, timeout_s: float) -> bool:
        """Do what `wait_for` does without blocking the event loop."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()
        fds = [fd_of(socket) for socket in self._sockets]
        for fd in fds:
            loop.add_reader(fd, changed.set)
        try:
            async with asyncio.timeout(timeout_s):
                for pause_s in _pauses_s():
                    changed.clear()
                    self._ask(token)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(ANSWER_LIMIT_S):
                            while not self._is_readable():
                                await changed.wait()
                                changed.clear()
                    if self._has_arrived(token):
                        return True
                    await asyncio.sleep(pause_s)
        except TimeoutError:
            pass
        finally:
            for fd in fds:
                loop.remove_reader(fd)
        return self._has_arrived(token)

    def close(self) -> None:
        """Stop asking. Does nothing in a forked child."""
        if self._context.exists_here():
            for socket in self._sockets:
                socket.close(linger=0)
            self._sockets.clear()
            self._context.term()

    def _ask(self, token: bytes) -> None:
        question = msgpack.packb({"op": "flushed", "token": token, "id": token})
        for socket in self._sockets:
            with contextlib.suppress(zmq.Again):
                socket.send(question, zmq.NOBLOCK)

    def _is_readable(self) -> bool:
        """Whether an answer has arrived. Makes libzmq process its events, so that its descriptor falls silent."""
        return sum(int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN for socket in self._sockets) > 0

    def _has_arrived(self, token: bytes) -> bool:
        """Read all answers; return whether one confirms the message with `token`."""
        found = False
        for socket in self._sockets:
            with contextlib.suppress(zmq.Again):
                while True:
                    found |= _confirms(socket.recv_multipart(zmq.NOBLOCK)[-1], token)
        return found


def _confirms(answer: bytes, token: bytes) -> bool:
    try:
        fields = msgpack.unpackb(answer)
    except (ValueError, TypeError):
        return False
    return isinstance(fields, dict) and fields.get("id") == token and fields.get("flushed") is True


def _pauses_s() -> Iterator[float]:
    pause_s = FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _milliseconds(seconds: float) -> int:
    return max(0, int(seconds * 1000)) + 1  # rounded up: rounded down, the last millisecond would be a busy loop
