"""Accept connections, inspect the head of the first request of each, and pass each connection to a worker.

The head is only peeked at (MSG_PEEK), so a worker receives a connection as the client sent it: with a body of any
size, pipelined requests, or its sending side closed. Between two peeks SO_RCVLOWAT asks the kernel for more bytes
than last time, so an incomplete head causes no wake-ups. The peeks at one head copy at most the square of its
length: 0.5 GB for 32 KiB that arrive byte by byte, which takes 0.1 s in all.

Knows sockets and the worker choice; must not know processes. Later requests on a connection reach the same worker.
"""

import asyncio
import errno
import os
import socket
from collections import Counter, OrderedDict
from typing import Any, Protocol, TypeVar

from zmqio.config import HTTP_LIMITS
from zmqio.hosting.descriptor_reserve import DescriptorReserve
from zmqio.ids import NodeTag
from zmqio.launcher.accept.error_responses import (
    HEAD_TIMED_OUT,
    HEAD_TOO_LARGE,
    NO_WORKER,
    WORKER_STALLED,
    respond_and_close,
)
from zmqio.launcher.accept.held_connections import HeldConnection, HeldConnections
from zmqio.launcher.ipc.peer_state import peer_has_closed
from zmqio.launcher.routing.request_head import RequestHead, head_end, parse_head
from zmqio.launcher.routing.worker_choice import Candidate, WorkerChoice
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.trusted_proxies import TrustedProxies

__all__ = ["BalancedWorker", "Balancer"]

log = get_logger(__name__)

MAX_ACCEPTS_PER_TURN = 64
"""Connections accepted in one turn of the event loop, so that pending ones get their turn."""
ACCEPT_RETRY_S = 0.5
"""Seconds without accepting after the reserve of descriptors was reached."""
UNIX_PEEK_INTERVAL_S = 0.02
"""Seconds between two peeks at a unix socket, for which Linux does not implement SO_RCVLOWAT."""
_PEEK = socket.MSG_PEEK | socket.MSG_DONTWAIT
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class BalancedWorker(Candidate, Protocol):
    """A worker to which connections can be passed."""

    @property
    def broken(self) -> bool:
        """Whether the worker is gone."""

    def pass_socket(self, connection: socket.socket) -> bool:
        """Pass a connection to the worker; False if it was not accepted."""


Worker = TypeVar("Worker", bound=BalancedWorker)


class _PendingHead:
    """A connection whose request head is incomplete."""

    __slots__ = ("connection", "deadline_s", "peer", "seen", "timer")

    def __init__(self, connection: socket.socket, peer: str | None, deadline_s: float) -> None:
        self.connection = connection
        self.peer = peer
        self.deadline_s = deadline_s
        self.seen = 0
        self.timer: asyncio.TimerHandle | None = None


class Balancer:
    """Serves one listening socket, in the running event loop.

    Args:
        listener: listening and non-blocking; closed with the balancer.
        choice: the available workers.
        proxies: whose X-Forwarded-For is trusted.
        reads_heads: False with TLS, where each connection is passed on at once.
        head_limit_s: seconds that a head may take; after that, the answer is 408 and the connection is closed.
        max_head_bytes: largest head; beyond that, the answer is 431 and the connection is closed.

    Attributes:
        counters: `connections_accepted`; of these, `connections_passed` to a worker, `heads_timed_out`,
            `heads_too_large`, `connections_abandoned` (closed by the client before the head was complete),
            `connections_rejected` (no worker accepted the connection) and `stalled_sessions_rejected` (the worker
            that owns the session is stalled and did not recover in time).
    """

    def __init__(
        self,
        listener: socket.socket,
        choice: WorkerChoice[Worker],
        *,
        proxies: TrustedProxies,
        reads_heads: bool = True,
        head_limit_s: float = HTTP_LIMITS.head_limit_s,
        max_head_bytes: int = HTTP_LIMITS.max_head_bytes,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._listener = listener
        self._choice = choice
        self._proxies = proxies
        self._reads_heads = reads_heads
        self._head_limit_s = head_limit_s
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray(max_head_bytes)
        self._pending: OrderedDict[int, _PendingHead] = OrderedDict()
        self._held = HeldConnections(self._reject_stalled)
        self._expiry_timer: asyncio.TimerHandle | None = None
        self._reserve = DescriptorReserve()
        self._is_resumed = self._is_reading = False
        self._retry: asyncio.TimerHandle | None = None
        self._accept_log = LimitedLog(log, burst=1)
        self._limited_log = LimitedLog(log)

    @property
    def pending_heads(self) -> int:
        """Number of connections whose request head is incomplete."""
        return len(self._pending)

    def resume(self) -> None:
        """Accept connections."""
        self._is_resumed = True
        self._update_reading()

    def pause(self) -> None:
        """Stop accepting. New connections wait in the kernel, up to the backlog of the listener."""
        self._is_resumed = False
        self._update_reading()

    def close(self) -> None:
        """Stop listening, and close the connections whose request head is incomplete."""
        self.pause()
        if self._retry is not None:
            self._retry.cancel()
        self._listener.close()
        for pending in list(self._pending.values()):
            self._stop_waiting(pending)
            pending.connection.close()
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
        self._held.close()

    def release(self, tag: NodeTag) -> None:
        """Dispatch the connections that waited for a worker. Call this when it has recovered or was removed."""
        for held in self._held.take(tag):
            self._dispatch(held.connection, held.head, held.peer)

    def _update_reading(self) -> None:
        reads = self._is_resumed and self._retry is None and self._listener.fileno() >= 0
        if reads == self._is_reading:
            return
        self._is_reading = reads
        if reads:
            self._loop.add_reader(self._listener.fileno(), self._accept)
        else:
            self._loop.remove_reader(self._listener.fileno())

    def _accept(self) -> None:
        accepted = self._accept_some()
        self.counters["connections_accepted"] += len(accepted)
        # Accept all of them first, so that the heads have time to arrive: a second peek costs more.
        for connection, peer in accepted:
            self._begin(connection, peer[0] if isinstance(peer, tuple) else None)

    def _accept_some(self) -> list[tuple[socket.socket, Any]]:
        accepted = []
        for _ in range(MAX_ACCEPTS_PER_TURN):
            try:
                accepted.append(self._listener.accept())
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    self._wait_for_resources(os.strerror(error.errno))
                    break
                continue  # the client has closed the connection already
            if self._reserve.is_reached(accepted[-1][0].fileno()):
                self._wait_for_resources(os.strerror(errno.EMFILE))
                break
        return accepted

    def _wait_for_resources(self, error: str) -> None:
        self._accept_log.warning("accept_failed", error=error, hint="raise the limit of open files (ulimit -n)")
        self._retry = self._loop.call_later(ACCEPT_RETRY_S, self._try_to_accept)
        self._update_reading()

    def _try_to_accept(self) -> None:
        self._retry = None
        if self._reserve.is_untouched():
            self._update_reading()
        else:
            self._retry = self._loop.call_later(ACCEPT_RETRY_S, self._try_to_accept)

    def _begin(self, connection: socket.socket, peer: str | None) -> None:
        if not self._reads_heads:
            self._dispatch(connection, RequestHead(), peer)
            return
        self._inspect(_PendingHead(connection, peer, self._loop.time() + self._head_limit_s))

    def _inspect(self, pending: _PendingHead) -> None:
        """Pass the connection on if its head is complete; otherwise wait for more bytes."""
        try:
            size = pending.connection.recv_into(self._buffer, len(self._buffer), _PEEK)
        except BlockingIOError:
            self._wait_for_more(pending, 0)
            return
        except OSError:
            size = 0
        end = head_end(self._buffer, size, pending.seen)
        if end is not None:
            self._stop_waiting(pending)
            self._dispatch(pending.connection, parse_head(bytes(self._buffer[:end])), pending.peer)
        elif size == len(self._buffer):
            self._drop(pending, "heads_too_large", HEAD_TOO_LARGE)
        elif size == 0 or (size == pending.seen and peer_has_closed(pending.connection)):
            self._drop(pending, "connections_abandoned")
        else:
            self._wait_for_more(pending, size)

    def _wait_for_more(self, pending: _PendingHead, seen: int) -> None:
        connection = pending.connection
        is_new = connection.fileno() not in self._pending
        if is_new:
            self._pending[connection.fileno()] = pending
            self._schedule_expiry(pending)
        if connection.family == socket.AF_UNIX and seen:
            self._loop.remove_reader(connection.fileno())
            pending.timer = self._loop.call_later(UNIX_PEEK_INTERVAL_S, self._inspect, pending)
        else:
            if seen > pending.seen:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, seen + 1)
            if is_new:
                self._loop.add_reader(connection.fileno(), self._inspect, pending)
        pending.seen = seen

    def _stop_waiting(self, pending: _PendingHead) -> None:
        """Restore the connection to the state in which it was accepted."""
        connection = pending.connection
        if self._pending.pop(connection.fileno(), None) is None:
            return
        self._loop.remove_reader(connection.fileno())
        if pending.timer is not None:
            pending.timer.cancel()
        if pending.seen and connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def _dispatch(self, connection: socket.socket, head: RequestHead, peer: str | None) -> None:
        address = self._proxies.client_address(peer, head.forwarded_for)
        while (worker := self._choice.pick(head.sid, address)) is not None:
            if self._choice.is_suspended(worker):
                if not self._held.hold(worker.tag, HeldConnection(connection, head, peer)):
                    self._reject_stalled(connection)
                return
            if worker.pass_socket(connection):
                self.counters["connections_passed"] += 1
                return
            if not worker.broken:
                break  # its queue is full
            self._choice.remove(worker)
        self._reject(connection, "connections_rejected", NO_WORKER)

    def _reject_stalled(self, connection: socket.socket) -> None:
        self._reject(connection, "stalled_sessions_rejected", WORKER_STALLED)

    def _drop(self, pending: _PendingHead, counter: str, response: bytes = b"") -> None:
        self._stop_waiting(pending)
        if response:
            self._reject(pending.connection, counter, response, client=pending.peer, bytes=pending.seen)
        else:
            self.counters[counter] += 1
            pending.connection.close()

    def _reject(self, connection: socket.socket, counter: str, response: bytes, **facts: Any) -> None:
        self.counters[counter] += 1
        self._limited_log.warning("connection_rejected", reason=counter, total=self.counters[counter], **facts)
        respond_and_close(connection, response)

    def _schedule_expiry(self, pending: _PendingHead) -> None:
        """Set the timer for the oldest connection. One timer suffices, because all have the same time limit."""
        if self._expiry_timer is None:
            self._expiry_timer = self._loop.call_at(pending.deadline_s, self._expire)

    def _expire(self) -> None:
        self._expiry_timer = None
        now = self._loop.time()
        for pending in list(self._pending.values()):
            if pending.deadline_s > now:
                self._schedule_expiry(pending)
                return
            self._drop(pending, "heads_timed_out", HEAD_TIMED_OUT)
