"""`Emitter`: publish from scripts, Django, Celery, threads. It needs no event loop and is not a node."""

import asyncio
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import structlog

from zmqio.config import DEFAULT_ADDRESS, BusOptions, split_addresses
from zmqio.emitter.frames import RequestFrames, flush_pauses_s, unconfirmed
from zmqio.emitter.operator import BroadcastOperator
from zmqio.exceptions import BusUnavailableError
from zmqio.protocol.publish import PublishRequest
from zmqio.zeromq.echo_inbox import EchoInbox
from zmqio.zeromq.push import Push

__all__ = ["Emitter"]

log = structlog.get_logger(__name__)

DEFAULTS = BusOptions()
# Any place among a child's finalizers; multiprocessing wants one for those that no object's life ends.
CHILD_EXIT_PRIORITY = 10


class Emitter(BroadcastOperator[None]):
    """Sends to clients of every node, from any thread. Connects with the first `emit`, to each broker named.

        with zmqio.Emitter("tcp://127.0.0.1:5555") as emitter:
            emitter.to("lobby").emit("news", {"text": "from a script"})

    Threads share one; each process of a fork has its own connection and `source`. What was emitted leaves at
    `close`, when the emitter is forgotten, at the end of the interpreter, and at that of a multiprocessing
    child; a process that ends by `os._exit` or a signal has to call `close` or `flush` before.

    Without `flush` a request is sent at most once: it is lost when the broker dies with it, or `close` times out.
    Inside a running event loop `emit` works but may block it for `send_timeout_s`, and says so once in the log
    (`emitter_blocks_event_loop`); use `AsyncEmitter` there.

    Args:
        address: base address of the broker; of two, joined by a comma: each gets everything.
        namespace: begins with `/`.
        prefix: the nodes' own.
        send_timeout_s: seconds that a request waits for a broker; then it is a `BusUnavailableError`. A thread
            that has to wait for another one first may take twice that.
        close_timeout_s: seconds that `close` waits for what is queued to leave.
        queue_messages: most requests that wait for each broker; a full queue is waited for like a missing broker.
        max_message_bytes: largest request; keep it at or below the nodes' own.

    Raises:
        ConfigError: an option cannot work.
        TopicError, PacketError: the namespace cannot be one.
    """

    __slots__ = ("_sender",)

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        namespace: str = "/",
        prefix: str = DEFAULTS.prefix,
        send_timeout_s: float = 2.0,
        close_timeout_s: float = 2.0,
        queue_messages: int = DEFAULTS.publish_queue_messages,
        max_message_bytes: int = DEFAULTS.max_message_bytes,
    ) -> None:
        options = BusOptions(prefix, publish_queue_messages=queue_messages, max_message_bytes=max_message_bytes)
        self._sender = _Sender(split_addresses(address), options, send_timeout_s, close_timeout_s)
        super().__init__(self._sender.send, PublishRequest())
        self._request = self.of(namespace)._request

    @property
    def source(self) -> str:
        """The name by which nodes know this emitter in this process; each `id` and `n` belongs to it."""
        return self._sender.here().frames.source

    def flush(self, timeout: float | None = None) -> None:
        """Wait until a broker has taken everything that was emitted before, on the connection that it has now.

        A message goes through the ingest to an inbox of this emitter and back. What an earlier connection may have
        lost (the broker was restarted after the emit) it cannot tell; with two brokers one of them has answered.

        Args:
            timeout: seconds to wait for the answer; None means `send_timeout_s`. While no broker is connected it
                waits `send_timeout_s` first.

        Raises:
            BusUnavailableError: no broker is connected.
            RequestTimeoutError: it did not come back in time.
        """
        self._sender.flush(timeout)

    def close(self) -> None:
        """Wait until what is queued has left, `close_timeout_s` at most. A later `emit` connects again."""
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _InProcess:
    """What an emitter has in one process. A forked child has its own, so it meets no lock held by its parent."""

    def __init__(self, options: BusOptions) -> None:
        self.frames = RequestFrames(options.prefix, options.max_message_bytes)
        self.order = threading.Lock()
        self.flushing = threading.Lock()
        self.inbox: EchoInbox | None = None


class _Sender:
    """The connection. Operators hold it too, so it lives, and is closed at its end, with the last of them."""

    def __init__(
        self, addresses: tuple[str, ...], options: BusOptions, send_timeout_s: float, close_timeout_s: float
    ) -> None:
        self._addresses = addresses
        self._options = options
        self._send_timeout_s = send_timeout_s
        self._push = Push(
            addresses,
            send_timeout_s=send_timeout_s,
            linger_s=close_timeout_s,
            queue_messages=options.publish_queue_messages,
        )
        self._by_pid: dict[int, _InProcess] = {}
        self._warned = False
        # Holds the Push: its sockets must not be collected with messages in them.
        weakref.finalize(self, self._push.close)

    def here(self) -> _InProcess:
        """What belongs to this process; made if it is not there yet."""
        pid = os.getpid()
        known = self._by_pid.get(pid)
        if known is None:
            made = _InProcess(self._options)
            known = self._by_pid.setdefault(pid, made)
            if known is made:
                _close_at_end_of_child(self._push)
        return known

    def send(self, request: PublishRequest) -> None:
        if not self._warned and asyncio._get_running_loop() is not None:
            self._warned = True
            log.warning("emitter_blocks_event_loop", send_timeout_s=self._send_timeout_s, use="AsyncEmitter")
        here = self.here()
        with self._in_turn(here.order, self._send_timeout_s):
            self._push.send(here.frames.make(request))

    def flush(self, timeout: float | None) -> None:
        limit_s = self._send_timeout_s if timeout is None else timeout
        here = self.here()
        ends_at_s = time.monotonic() + limit_s
        with self._in_turn(here.flushing, limit_s):
            if here.inbox is None:
                here.inbox = EchoInbox(self._addresses, here.frames.inbox_topic)
            frame, body = here.frames.make_flush()
            for pause_s in flush_pauses_s():
                self._push.send(frame)
                if here.inbox.wait_for(body, min(pause_s, max(0.0, ends_at_s - time.monotonic()))):
                    return
                if time.monotonic() >= ends_at_s:
                    raise unconfirmed(self._addresses, limit_s)

    def close(self) -> None:
        here = self.here()
        self._push.close()
        with here.flushing:
            if here.inbox is not None:
                here.inbox.close()
                here.inbox = None

    @contextmanager
    def _in_turn(self, lock: threading.Lock, timeout_s: float) -> Iterator[None]:
        if not lock.acquire(timeout=timeout_s):
            raise BusUnavailableError(
                f"another thread has been waiting for {', '.join(self._addresses)} for {timeout_s:g} s, so this "
                "message was not sent; is the broker running? (`zmqio broker` starts one)"
            )
        try:
            yield
        finally:
            lock.release()


def _close_at_end_of_child(push: Push) -> None:
    """A multiprocessing child ends without `atexit`; it has finalizers of its own."""
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, push.close, exitpriority=CHILD_EXIT_PRIORITY)
