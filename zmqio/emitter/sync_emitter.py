"""`Emitter`: publishes from scripts, Django, Celery and threads. Needs no event loop and is not a node."""

import asyncio
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from zmqio.buses import make_sender
from zmqio.config import DEFAULT_ADDRESS, BusOptions
from zmqio.emitter.frames import RequestFrames
from zmqio.emitter.operator import BroadcastOperator
from zmqio.emitter.senders import Sender
from zmqio.exceptions import BusUnavailableError
from zmqio.logger import get_logger
from zmqio.protocol.publish import PublishRequest

if TYPE_CHECKING:
    from zmqio.zeromq.curve import Curve

__all__ = ["Emitter"]

log = get_logger(__name__)

DEFAULTS = BusOptions()
# Any priority: multiprocessing requires one for finalizers that are not bound to an object.
CHILD_EXIT_PRIORITY = 10


class Emitter(BroadcastOperator[None]):
    """Publishes to clients of every node, from any thread. Connects to each named broker on the first `emit`.

        with zmqio.Emitter("tcp://127.0.0.1:5555") as emitter:
            emitter.to("lobby").emit("news", {"text": "from a script"})

    Thread-safe. After a fork, each process has its own connection and `source`. Queued requests are sent by
    `close`, when the emitter is garbage-collected, at the end of the interpreter, and at the end of a
    multiprocessing child. A process that ends by `os._exit` or a signal must call `close` or `flush` first.

    Requests are sent at most once: a request is lost if the broker dies before passing it on, or if `close` times
    out. Use `flush` to confirm that a broker has them. Inside a running event loop, `emit` works but may block the
    loop for `send_timeout_s`, which is logged once (`emitter_blocked_event_loop`); use `AsyncEmitter` there.

    Args:
        address: base address of the broker. Several are separated by commas; each then gets every request. Or
            addresses of NATS servers of one cluster (`nats://`, `tls://`), one of which gets them.
        namespace: begins with `/`.
        prefix: the same as on the nodes.
        send_timeout_s: seconds that a request waits for a broker before it fails with `BusUnavailableError`. A
            thread that first waits for another thread may take twice as long.
        close_timeout_s: seconds that `close` waits for queued requests to be sent.
        queue_messages: most requests queued for each broker; beyond it, a request waits as it does while no broker
            is connected.
        max_message_bytes: largest request; must not exceed that of the nodes.
        curve: keys for a broker that requires them. By default the environment variables
            `ZMQIO_CURVE_SERVER_KEY` and `ZMQIO_CURVE_SECRET_FILE` decide.

    Raises:
        ConfigError: an option is invalid.
        TopicError, PacketError: the namespace is invalid.
    """

    __slots__ = ("_connection",)

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
        curve: "Curve | None" = None,
    ) -> None:
        options = BusOptions(prefix, publish_queue_messages=queue_messages, max_message_bytes=max_message_bytes)
        sender = make_sender(
            address,
            curve=curve,
            send_timeout_s=send_timeout_s,
            close_timeout_s=close_timeout_s,
            queue_messages=queue_messages,
        )
        self._connection = _EmitterConnection(sender, options, send_timeout_s)
        super().__init__(self._connection.send, PublishRequest())
        self._request = self.of(namespace)._request

    @property
    def source(self) -> str:
        """Identifies this emitter in this process to nodes; `n` counts the requests of one source."""
        return self._connection.of_this_process().frames.source

    def flush(self, timeout: float | None = None) -> None:
        """Wait until a broker has accepted all requests emitted before this call, on its current connection.

        Sends a flush message behind them to the broker's ingest endpoint, and asks its control endpoint until the
        broker confirms that message. Requests that were lost with an earlier connection, because the broker was
        restarted after the emit, are not detected. With several brokers, one of them has accepted the requests.

        With NATS, a PING does the same: the server that this emitter is connected to has every request.

        Args:
            timeout: seconds to wait for the confirmation; None means `send_timeout_s`. If no broker is connected,
                the call first waits up to `send_timeout_s` for one.

        Raises:
            BusUnavailableError: no broker was connected within `send_timeout_s`, or another thread held the
                connection for the whole `timeout`.
            RequestTimeoutError: no broker confirmed within `timeout`.
        """
        self._connection.flush(timeout)

    def close(self) -> None:
        """Wait until queued requests are sent, at most `close_timeout_s`. A later `emit` connects again."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _EmitterOfProcess:
    """The state of an emitter in one process. A forked child creates its own, so locks are never shared."""

    def __init__(self, options: BusOptions) -> None:
        self.frames = RequestFrames(options.prefix, options.max_message_bytes)
        self.send_lock = threading.Lock()


class _EmitterConnection:
    """The connection of an `Emitter`. Operators share it; it is closed when the last of them is collected."""

    def __init__(self, sender: Sender, options: BusOptions, send_timeout_s: float) -> None:
        self._sender = sender
        self._options = options
        self._send_timeout_s = send_timeout_s
        self._by_pid: dict[int, _EmitterOfProcess] = {}
        self._warned = False
        # Keeps the sender alive: its sockets must not be collected while messages are queued in them.
        weakref.finalize(self, sender.close_sync)

    def of_this_process(self) -> _EmitterOfProcess:
        """Return the state of this process, created on the first call."""
        pid = os.getpid()
        known = self._by_pid.get(pid)
        if known is None:
            created = _EmitterOfProcess(self._options)
            known = self._by_pid.setdefault(pid, created)
            if known is created:
                _close_at_end_of_child(self._sender)
        return known

    def send(self, request: PublishRequest) -> None:
        if not self._warned and asyncio._get_running_loop() is not None:
            self._warned = True
            log.warning("emitter_blocked_event_loop", send_timeout_s=self._send_timeout_s, use="AsyncEmitter")
        here = self.of_this_process()
        with self._locked(here.send_lock):
            frame = here.frames.make(request)
            if frame is not None:
                self._sender.send(frame)

    def flush(self, timeout: float | None) -> None:
        self._sender.flush(self._send_timeout_s if timeout is None else timeout)

    def close(self) -> None:
        self.of_this_process()
        self._sender.close()

    @contextmanager
    def _locked(self, lock: threading.Lock) -> Iterator[None]:
        if not lock.acquire(timeout=self._send_timeout_s):
            raise BusUnavailableError(
                f"message was not sent: another thread has been waiting for {', '.join(self._sender.addresses)} "
                f"for {self._send_timeout_s:g} s. Check that the broker is running (`zmqio broker` starts one)"
            )
        try:
            yield
        finally:
            lock.release()


def _close_at_end_of_child(sender: Sender) -> None:
    """Register a finalizer: a multiprocessing child ends without `atexit`, but runs its own finalizers."""
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, sender.close_sync, exitpriority=CHILD_EXIT_PRIORITY)
