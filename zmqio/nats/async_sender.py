"""`AsyncNatsSender`: publishes from an event loop that runs no node, without blocking it."""

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from zmqio.exceptions import BusUnavailableError, ConfigError, NatsError
from zmqio.links.resolver import HostResolver
from zmqio.nats.addresses import NatsServer
from zmqio.nats.connection import NatsConnection
from zmqio.nats.login import NatsLogin
from zmqio.nats.sender import flush_timeout, publish_frame, refused, unavailable
from zmqio.nats.servers import ServerList
from zmqio.protocol.nats import PING, NatsInfo

__all__ = ["AsyncNatsSender"]

PAUSE_S = 0.05


class AsyncNatsSender:
    """Sends in the order of the calls. Not thread-safe; a forked child needs another.

    Args:
        servers: servers of one cluster.
        login: at every server.
        send_timeout_s: seconds to wait for a server that accepts a request.
        close_timeout_s: seconds that `close` waits for the server to have all.
        queue_messages: most requests queued for the server.
    """

    def __init__(
        self,
        servers: Sequence[NatsServer],
        login: NatsLogin,
        *,
        send_timeout_s: float,
        close_timeout_s: float,
        queue_messages: int,
    ) -> None:
        self.addresses = tuple(map(str, servers))
        self._servers = ServerList(servers)
        self._login = login
        self._send_timeout_s = send_timeout_s
        self._close_timeout_s = close_timeout_s
        self._queue_messages = queue_messages
        self._connection: NatsConnection | None = None
        self._lock = asyncio.Lock()
        self._pongs: deque[asyncio.Future[None]] = deque()
        self._fault = self._problem = ""
        self._pid = 0

    async def send(self, frame: bytes) -> None:
        """Queue one frame, topic and body, for a server.

        Raises:
            BusUnavailableError: no server accepted it within `send_timeout_s`, or the server has refused an
                earlier one; this one was not sent.
            MessageTooLargeError: the server accepts only smaller ones.
        """
        try:
            async with asyncio.timeout(self._send_timeout_s), self._lock:
                self._raise_fault()
                while True:
                    connection = await self._connect()
                    if connection.send(publish_frame(frame, connection.info.max_payload_bytes)):
                        return
                    await connection.wait_writable()
        except TimeoutError:
            raise unavailable(self.addresses, self._send_timeout_s, self._problem) from None

    async def flush(self, timeout_s: float) -> None:
        """Wait until the server has all frames sent before on its connection.

        In a cluster, the other servers may not have them yet.

        Raises:
            BusUnavailableError: no server is connected in time, or it has refused a request.
            RequestTimeoutError: the server has not answered within `timeout_s`.
        """
        try:
            async with asyncio.timeout(self._send_timeout_s), self._lock:
                connection = await self._connect()
        except TimeoutError:
            raise unavailable(self.addresses, self._send_timeout_s, self._problem) from None
        try:
            async with asyncio.timeout(timeout_s):
                await self._ping(connection)
        except TimeoutError:
            raise flush_timeout(self.addresses, timeout_s) from None
        self._raise_fault()

    async def close(self) -> None:
        """Wait until the server has all frames, at most `close_timeout_s`. A later `send` connects again."""
        async with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(TimeoutError, BusUnavailableError):
                    async with asyncio.timeout(self._close_timeout_s):
                        await self._ping(connection)
                connection.close()
                await connection.wait_closed(self._close_timeout_s)

    def close_sync(self) -> None:
        """Send the queue without an event loop. Does nothing in a forked child, and not with TLS."""
        connection, self._connection = self._connection, None
        if connection is not None and self._pid == os.getpid():
            connection.send_last()
            connection.discard()

    # `NatsConnectionEvents`.

    def nats_message(self, sid: int, subject: bytes, payload: bytes) -> None:
        """Nothing is subscribed to."""

    def nats_info(self, info: NatsInfo) -> None:
        """Note the servers of the cluster; leave one that is about to stop."""
        self._servers.update(info.urls)
        if info.is_leaving and self._servers.candidates > 1 and self._connection is not None:
            self._connection.close("the server is about to stop (lame duck mode)")

    def nats_pong(self) -> None:
        """Release a flush."""
        if self._pongs and not (waiter := self._pongs.popleft()).done():
            waiter.set_result(None)

    def nats_fault(self, text: str) -> None:
        """Note an error, which the next call raises."""
        self._fault = text

    def nats_closed(self, reason: str) -> None:
        """Connect again at the next call."""
        self._problem = reason
        self._connection = None
        pongs, self._pongs = self._pongs, deque()
        for waiter in pongs:
            if not waiter.done():
                waiter.set_exception(unavailable(self.addresses, 0, reason))

    async def _connect(self) -> NatsConnection:
        self._pid = os.getpid()
        while self._connection is None:
            server = self._servers.next()
            connection = NatsConnection(
                server, self._login, "zmqio emitter", self, queue_messages=self._queue_messages
            )
            try:
                await connection.open(HostResolver(server.host))
            except (OSError, NatsError, ConfigError) as error:
                self._problem = f"{server}: {getattr(error, 'strerror', None) or error}"
                await asyncio.sleep(PAUSE_S)
                continue
            self._servers.update(connection.info.urls)
            self._connection = connection
        return self._connection

    async def _ping(self, connection: NatsConnection) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pongs.append(waiter)
        connection.write(PING)
        await waiter

    def _raise_fault(self) -> None:
        if self._fault:
            fault, self._fault = self._fault, ""
            raise refused(fault)
