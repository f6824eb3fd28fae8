"""`NatsSender`: publishes from scripts and threads, without an event loop.

Every request is written to a connected server before `send` returns, so nothing is queued here. Requests that the
server has not read when it dies are lost without notice (at most once); `flush` confirms that it has read them.
"""

import atexit
import os
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from zmqio.exceptions import BusUnavailableError, ConfigError, MessageTooLargeError, NatsError, RequestTimeoutError
from zmqio.nats.addresses import NatsServer
from zmqio.nats.blocking_connection import BlockingConnection
from zmqio.nats.login import NatsLogin
from zmqio.nats.servers import ServerList
from zmqio.protocol.nats import publish_command
from zmqio.protocol.nats_subject import subject_of
from zmqio.protocol.topic import split

__all__ = ["NatsSender", "flush_timeout", "publish_frame", "refused", "unavailable"]

ATTEMPT_S = 1.0
"""Longest attempt at one server while there are others."""
PAUSE_S = 0.05


class _SenderOfProcess:
    """The connection of one process. A forked child makes its own, so locks and sockets are never shared."""

    def __init__(self, servers: Sequence[NatsServer]) -> None:
        self.lock = threading.Lock()
        self.servers = ServerList(servers)
        self.connection: BlockingConnection | None = None
        self.problem = ""


class NatsSender:
    """Sends from any thread; usable on both sides of a fork.

    Args:
        servers: servers of one cluster.
        login: at every server.
        send_timeout_s: seconds to wait for a server.
        close_timeout_s: seconds that `close`, and the end of the interpreter, wait for the server to have all.
    """

    def __init__(
        self, servers: Sequence[NatsServer], login: NatsLogin, *, send_timeout_s: float, close_timeout_s: float
    ) -> None:
        self.addresses = tuple(map(str, servers))
        self._servers = servers
        self._login = login
        self._send_timeout_s = send_timeout_s
        self._close_timeout_s = close_timeout_s
        self._by_pid: dict[int, _SenderOfProcess] = {}
        _open_senders.add(self)

    def send(self, frame: bytes) -> None:
        """Write one frame, topic and body, to a server.

        Raises:
            BusUnavailableError: no server took it within `send_timeout_s`, or the server has refused an earlier
                one; this one was not sent.
            MessageTooLargeError: the server accepts only smaller ones.
        """
        ends_at_s = time.monotonic() + self._send_timeout_s
        with self._locked(self._send_timeout_s) as here:
            while not self._try_send(here, frame, ends_at_s):
                pass

    def flush(self, timeout_s: float) -> None:
        """Wait until the server has all frames sent before on its connection.

        In a cluster, the other servers may not have them yet.

        Raises:
            BusUnavailableError: no server is connected in time, or it has refused a request.
            RequestTimeoutError: the server has not answered within `timeout_s`.
        """
        ends_at_s = time.monotonic() + timeout_s
        with self._locked(timeout_s) as here:
            connection = self._connect(here, max(ends_at_s, time.monotonic() + self._send_timeout_s))
            try:
                connection.ping(max(ends_at_s, time.monotonic() + 0.001))
            except TimeoutError:
                raise flush_timeout(self.addresses, timeout_s) from None
            except (OSError, NatsError) as error:
                self._drop(here, error)
                raise unavailable(self.addresses, timeout_s, here.problem) from error
            _check_fault(connection)

    def close(self) -> None:
        """Wait until the server has all frames, at most `close_timeout_s`. A later `send` connects again."""
        with self._locked(self._close_timeout_s + self._send_timeout_s) as here:
            connection, here.connection = here.connection, None
            if connection is not None:
                with suppress(OSError, NatsError):
                    connection.ping(time.monotonic() + self._close_timeout_s)
                connection.close()

    def close_sync(self) -> None:
        """Do the same when the emitter is collected, or the process ends."""
        self.close()

    @contextmanager
    def _locked(self, timeout_s: float) -> Iterator[_SenderOfProcess]:
        pid = os.getpid()
        here = self._by_pid.get(pid) or self._by_pid.setdefault(pid, _SenderOfProcess(self._servers))
        if not here.lock.acquire(timeout=timeout_s):
            raise unavailable(self.addresses, timeout_s, "another thread has been waiting for them")
        try:
            yield here
        finally:
            here.lock.release()

    def _try_send(self, here: _SenderOfProcess, frame: bytes, ends_at_s: float) -> bool:
        connection = self._connect(here, ends_at_s)
        command = publish_frame(frame, connection.info.max_payload_bytes)
        try:
            connection.poll()
            _check_fault(connection)
            connection.send(command, ends_at_s)
        except (OSError, NatsError) as error:
            self._drop(here, error)
            return False
        return True

    def _connect(self, here: _SenderOfProcess, ends_at_s: float) -> BlockingConnection:
        pause_s = 0.0
        while here.connection is None:
            time.sleep(pause_s)
            pause_s = PAUSE_S
            now_s = time.monotonic()
            if now_s >= ends_at_s:
                raise unavailable(self.addresses, self._send_timeout_s, here.problem)
            server = here.servers.next()
            attempt_ends_at_s = min(ends_at_s, now_s + ATTEMPT_S) if here.servers.candidates > 1 else ends_at_s
            try:
                here.connection = BlockingConnection(server, self._login, attempt_ends_at_s)
                here.servers.update(here.connection.info.urls)
            except (OSError, NatsError, ConfigError) as error:
                here.problem = f"{server}: {getattr(error, 'strerror', None) or error}"
        return here.connection

    def _drop(self, here: _SenderOfProcess, error: Exception) -> None:
        here.problem = getattr(error, "strerror", None) or str(error)
        connection, here.connection = here.connection, None
        if connection is not None:
            connection.close()


def publish_frame(frame: bytes, limit_bytes: int) -> bytes:
    """Return the command that publishes a frame, topic and body.

    Raises:
        MessageTooLargeError: the server accepts only smaller ones.
    """
    if len(frame) > limit_bytes:
        raise MessageTooLargeError(len(frame), limit_bytes)
    return publish_command(subject_of(split(frame)[0]), frame)


def _check_fault(connection: BlockingConnection) -> None:
    if connection.fault:
        fault, connection.fault = connection.fault, ""
        raise refused(fault)


def unavailable(addresses: Sequence[str], waited_s: float, problem: str) -> BusUnavailableError:
    """Return the error of a request that no server has taken."""
    reason = problem or "check that the server is running and reachable from here"
    return BusUnavailableError(
        f"no NATS server accepted the message within {waited_s:g} s; tried {', '.join(addresses)}. {reason}"
    )


def refused(fault: str) -> BusUnavailableError:
    """Return the error of a request that the server has refused."""
    return BusUnavailableError(f"the NATS server refuses a request: {fault}")


def flush_timeout(addresses: Sequence[str], waited_s: float) -> RequestTimeoutError:
    """Return the error of a flush that the server has not answered."""
    return RequestTimeoutError(f"{', '.join(addresses)} did not answer within {waited_s:g} s")


_open_senders: weakref.WeakSet[NatsSender] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Wait until the servers have all requests before the interpreter ends."""
    for sender in tuple(_open_senders):
        sender.close()
