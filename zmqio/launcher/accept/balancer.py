"""Accept connections, look at the head of their first request, and hand each to a worker.

Nothing is consumed: the head is peeked at (MSG_PEEK), so that a body of any size, pipelined requests and a
half-closed connection reach the worker as the client sent them. Between two looks SO_RCVLOWAT says that more bytes
than last time are needed, so half a line wakes nobody. The looks at one head cost at most the square of its
length in copied bytes: 2 GB for 64 KiB that come byte by byte, 0.3 s in all.

Knows sockets and the choice; must not know processes. A connection's later requests go where its first went.
"""

import asyncio
import errno
import socket
from collections import Counter, OrderedDict
from typing import Any, Protocol, TypeVar

import structlog

from zmqio.launcher.accept.error_responses import HEAD_TOO_LARGE, HEAD_TOO_SLOW, NO_WORKER, has_ended, refuse
from zmqio.launcher.routing.request_head import MAX_HEAD_BYTES, RequestHead, head_end, parse_head
from zmqio.launcher.routing.trusted_proxies import TrustedProxies
from zmqio.launcher.routing.worker_choice import Candidate, WorkerChoice
from zmqio.log_limit import LimitedLog

__all__ = ["Balancer", "Taker"]

log = structlog.get_logger(__name__)

ACCEPTS_A_TURN = 64
"""Most connections that are accepted in one turn of the loop, so that open ones get theirs."""
NO_FILES_PAUSE_S = 0.5
"""How long nothing is accepted after the limit of open files was reached."""
UNIX_LOOK_S = 0.02
"""Time between two looks at a unix socket, for which Linux has no SO_RCVLOWAT."""
_PEEK = socket.MSG_PEEK | socket.MSG_DONTWAIT
_NO_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Taker(Candidate, Protocol):
    """A worker that connections can be given to."""

    @property
    def broken(self) -> bool:
        """Whether it is gone."""

    def give(self, connection: socket.socket) -> bool:
        """Hand a connection over; False if it was not taken."""


Worker = TypeVar("Worker", bound=Taker)


class _Waiting:
    """A connection whose head is not there yet."""

    __slots__ = ("connection", "deadline_s", "peer", "seen", "timer")

    def __init__(self, connection: socket.socket, peer: str | None, deadline_s: float) -> None:
        self.connection = connection
        self.peer = peer
        self.deadline_s = deadline_s
        self.seen = 0
        self.timer: asyncio.TimerHandle | None = None


class Balancer:
    """Serves one listening socket, in the running loop.

    Args:
        listener: listening, not blocking; closed with the balancer.
        choice: the workers.
        proxies: whose X-Forwarded-For is believed.
        reads_heads: False with TLS: then a connection is handed over at once.
        head_limit_s: seconds that a head may take; then the connection is answered 408 and closed.

    Attributes:
        counters: what happened how often: `accepted`, `handed_over`, `heads_too_slow`, `heads_too_large`,
            `left_early` (clients gone before their head was complete), `refused` (no worker took it).
    """

    def __init__(
        self,
        listener: socket.socket,
        choice: WorkerChoice[Worker],
        *,
        proxies: TrustedProxies,
        reads_heads: bool = True,
        head_limit_s: float = 10.0,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._listener = listener
        self._choice = choice
        self._proxies = proxies
        self._reads_heads = reads_heads
        self._head_limit_s = head_limit_s
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray(MAX_HEAD_BYTES)
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._cut_timer: asyncio.TimerHandle | None = None
        self._is_accepting = False
        self._notices = LimitedLog(log)

    @property
    def waiting(self) -> int:
        """How many connections have not sent their whole head yet."""
        return len(self._waiting)

    def resume(self) -> None:
        """Accept connections."""
        if not self._is_accepting and self._listener.fileno() >= 0:
            self._is_accepting = True
            self._loop.add_reader(self._listener.fileno(), self._accept)

    def pause(self) -> None:
        """Accept nothing; new connections wait in the kernel, up to the listener's backlog."""
        if self._is_accepting:
            self._is_accepting = False
            self._loop.remove_reader(self._listener.fileno())

    def close(self) -> None:
        """Stop listening, and close connections whose head is not complete."""
        self.pause()
        self._listener.close()
        for waiting in list(self._waiting.values()):
            self._forget(waiting)
            waiting.connection.close()
        if self._cut_timer is not None:
            self._cut_timer.cancel()

    def _accept(self) -> None:
        accepted = self._accept_some()
        self.counters["accepted"] += len(accepted)
        # All first, so that the heads of the early ones have time to come: a second look costs more.
        for connection, peer in accepted:
            self._begin(connection, peer[0] if isinstance(peer, tuple) else None)

    def _accept_some(self) -> list[tuple[socket.socket, Any]]:
        accepted = []
        for _ in range(ACCEPTS_A_TURN):
            try:
                accepted.append(self._listener.accept())
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in _NO_FILES:
                    self._rest(error)
                    break
                # else that client has gone already
        return accepted

    def _rest(self, error: OSError) -> None:
        self._notices.warning(
            "cannot_accept", error=error.strerror, hint="raise the limit of open files (ulimit -n)"
        )
        self.pause()
        self._loop.call_later(NO_FILES_PAUSE_S, self.resume)

    def _begin(self, connection: socket.socket, peer: str | None) -> None:
        if not self._reads_heads:
            self._hand_over(connection, RequestHead(), peer)
            return
        waiting = _Waiting(connection, peer, self._loop.time() + self._head_limit_s)
        self._look(waiting)

    def _look(self, waiting: _Waiting) -> None:
        """Hand it over if its head is complete; else wait for more of it."""
        try:
            size = waiting.connection.recv_into(self._buffer, MAX_HEAD_BYTES, _PEEK)
        except BlockingIOError:
            self._wait(waiting, 0)
            return
        except OSError:
            size = 0
        end = head_end(self._buffer, size, waiting.seen)
        if end is not None:
            self._forget(waiting)
            self._hand_over(waiting.connection, parse_head(bytes(self._buffer[:end])), waiting.peer)
        elif size == MAX_HEAD_BYTES:
            self._drop(waiting, "heads_too_large", HEAD_TOO_LARGE)
        elif size == 0 or (size == waiting.seen and has_ended(waiting.connection)):
            self._drop(waiting, "left_early")
        else:
            self._wait(waiting, size)

    def _wait(self, waiting: _Waiting, seen: int) -> None:
        connection = waiting.connection
        is_new = connection.fileno() not in self._waiting
        if is_new:
            self._waiting[connection.fileno()] = waiting
            self._cut_later(waiting)
        if connection.family == socket.AF_UNIX and seen:
            self._loop.remove_reader(connection.fileno())
            waiting.timer = self._loop.call_later(UNIX_LOOK_S, self._look, waiting)
        else:
            if seen > waiting.seen:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, seen + 1)
            if is_new:
                self._loop.add_reader(connection.fileno(), self._look, waiting)
        waiting.seen = seen

    def _forget(self, waiting: _Waiting) -> None:
        """Wait no more; the connection is as it was accepted."""
        connection = waiting.connection
        if self._waiting.pop(connection.fileno(), None) is None:
            return
        self._loop.remove_reader(connection.fileno())
        if waiting.timer is not None:
            waiting.timer.cancel()
        if waiting.seen and connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def _hand_over(self, connection: socket.socket, head: RequestHead, peer: str | None) -> None:
        address = self._proxies.client_address(peer, head.forwarded_for)
        while (worker := self._choice.pick(head.sid, address)) is not None:
            if worker.give(connection):
                self.counters["handed_over"] += 1
                return
            if not worker.broken:
                break  # it has not taken its last thousand yet
            self._choice.remove(worker)
        self._refuse(connection, "refused", NO_WORKER)

    def _drop(self, waiting: _Waiting, why: str, answer: bytes = b"") -> None:
        self._forget(waiting)
        if answer:
            self._refuse(waiting.connection, why, answer, client=waiting.peer, bytes=waiting.seen)
        else:
            self.counters[why] += 1
            waiting.connection.close()

    def _refuse(self, connection: socket.socket, why: str, answer: bytes, **facts: object) -> None:
        self.counters[why] += 1
        self._notices.warning("connection_refused", why=why, total=self.counters[why], **facts)
        refuse(connection, answer)

    def _cut_later(self, waiting: _Waiting) -> None:
        """All have the same limit, so the oldest is due first and one timer does."""
        if self._cut_timer is None:
            self._cut_timer = self._loop.call_at(waiting.deadline_s, self._cut)

    def _cut(self) -> None:
        self._cut_timer = None
        now = self._loop.time()
        for waiting in list(self._waiting.values()):
            if waiting.deadline_s > now:
                self._cut_later(waiting)
                return
            self._drop(waiting, "heads_too_slow", HEAD_TOO_SLOW)
