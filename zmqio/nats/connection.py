"""A connection to one NATS server: login, TLS, parsed events, and writing in batches.

At most `READ_BYTES` are read at a time, so that a burst leaves time for the rest of the process.

The first command of a turn of the event loop is written at once, later commands of that turn together at its end.
While each turn has several commands, all commands of a turn are written together at its end: each write wakes the
server and the receivers, which costs them more than a message.

Queue and policy: at most `queue_messages` with `queue_bytes` wait for the server, besides `BATCH_BYTES` that the
kernel has not accepted yet; beyond that, `send` returns False. A larger message is accepted if none waits.
Other commands are always queued. The queue of a lost connection is dropped.

Knows nothing of topics, nodes or reconnecting.
"""

import asyncio
import os
import socket
from contextlib import suppress
from typing import Protocol, cast

from zmqio.exceptions import NatsError
from zmqio.links.resolver import HostResolver
from zmqio.nats.addresses import NatsServer
from zmqio.nats.login import NatsLogin
from zmqio.protocol.nats import PING, PONG, NatsFault, NatsInfo, NatsParser, NatsSignal, connect_command

__all__ = ["NatsConnection", "NatsConnectionEvents"]

CONNECT_LIMIT_S = 5.0
"""Seconds until a server must have accepted the login."""
READ_BYTES = 1 << 16
BATCH_BYTES = 1 << 16
LAST_SEND_LIMIT_S = 1.0
MAX_PAYLOAD_BYTES = 64 << 20
"""The largest payload that NATS can be configured for. Source: `max_payload` in the server's configuration."""


class NatsConnectionEvents(Protocol):
    """Called on the event loop, never from within a call to the connection."""

    def nats_message(self, sid: int, subject: bytes, payload: bytes) -> None:
        """A message was received; must not raise."""

    def nats_info(self, info: NatsInfo) -> None:
        """The server has sent INFO after the login."""

    def nats_pong(self) -> None:
        """The server has answered the oldest PING that was not answered."""

    def nats_fault(self, text: str) -> None:
        """The server has reported an error; it may close the connection."""

    def nats_closed(self, reason: str) -> None:
        """The connection is closed, after it was open."""


class NatsConnection(asyncio.BufferedProtocol):
    """One connection. `open` first; every other method is for an open connection and does nothing on a closed one.

    Args:
        server: its address.
        login: user, key and TLS context.
        name: shown in the lists of connections of the server.
        events: see `NatsConnectionEvents`.
        queue_messages: most messages queued for the server.
        queue_bytes: most bytes of these messages.

    Attributes:
        info: the last INFO.
        is_open: whether the server has accepted the login, and the connection has not closed.
        has_received: set by each read; the link clears it.
    """

    def __init__(
        self,
        server: NatsServer,
        login: NatsLogin,
        name: str,
        events: NatsConnectionEvents,
        *,
        queue_messages: int = 10_000,
        queue_bytes: int = 1 << 20,
    ) -> None:
        self.info = NatsInfo("")
        self.is_open = False
        self.has_received = False
        self._server = server
        self._login = login
        self._name = name
        self._events = events
        self._queue_messages = queue_messages
        self._max_queue_bytes = queue_bytes
        self._loop = asyncio.get_running_loop()
        self._parser = NatsParser(MAX_PAYLOAD_BYTES)
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)
        self._transport: asyncio.Transport | None = None
        self._queue: list[bytes] = []
        self._queue_bytes = 0
        self._is_queueing = False
        self._is_bursting = False
        self._is_full = False
        self._is_closing = False
        self._reason = ""
        self._awaits_info = True
        self._awaited: asyncio.Future[None] = self._loop.create_future()
        self._raw: socket.socket | None = None
        self._gone = asyncio.Event()
        self._writable = asyncio.Event()

    async def open(self, resolver: HostResolver) -> None:
        """Connect and log in.

        Raises:
            OSError: the server cannot be reached, or does not answer in time.
            NatsError: it does not speak NATS, or refuses the login.
            ConfigError: a signature needs a library that is not installed.
        """
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await self._connect(resolver)
                if self._login.ssl_context or self._server.tls or self.info.requires_tls:
                    await self._start_tls()
                options = {"name": self._name, "version": "1", **self._login.connect_options(self.info.nonce)}
                self._awaited = self._loop.create_future()
                self.write(connect_command(options, headers=self.info.has_headers) + PING)
                await self._awaited
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise OSError(None, f"no answer in {CONNECT_LIMIT_S:g} s") from None
            raise
        self.is_open = True
        self._raw = self._duplicate()

    @property
    def is_lost(self) -> bool:
        """Whether the connection has failed; `nats_closed` has been or will be called."""
        return not self.is_open

    def send(self, frame: bytes) -> bool:
        """Send or queue a message; return False if the queue is full or the connection is closed."""
        if not self.is_open:
            return False
        if self._queue and (
            len(self._queue) >= self._queue_messages or self._queue_bytes + len(frame) > self._max_queue_bytes
        ):
            return False
        self.write(frame)
        return True

    def write(self, command: bytes) -> None:
        """Send or queue a command, behind all others."""
        if self._transport is None:
            return
        if not self._is_queueing:
            self._is_queueing = True
            if not self._loop.is_closed():
                self._loop.call_soon(self._end_iteration)
                if not self._is_bursting:
                    self._transport.write(command)
                    return
        self._queue.append(command)
        self._queue_bytes += len(command)
        self._writable.clear()

    def close(self, reason: str = "") -> None:
        """Close, after what the kernel still accepts. With a reason, it is reported as `nats_closed`."""
        self._reason = self._reason or reason
        if not reason:
            self.is_open = False
        self._is_closing = True
        self._send_queue()

    async def wait_writable(self) -> None:
        """Wait until the queue is empty, or the connection is closed."""
        if self.is_open and self._queue:
            await self._writable.wait()

    def discard(self) -> None:
        """Close the descriptor of `send_last`, when there is no event loop that closes the connection."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    async def wait_closed(self, limit_s: float) -> None:
        """Wait until everything is sent after `close`; abort after `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                await self._gone.wait()
        except TimeoutError:
            self.abort("")

    def abort(self, reason: str) -> None:
        """Close at once, and report it as `nats_closed`."""
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.abort()

    def send_last(self) -> None:
        """Send the queue without an event loop, at the end of the process, in a second at most. Not with TLS."""
        if self._raw is None or self._is_full:
            return
        with suppress(OSError):
            self._raw.settimeout(LAST_SEND_LIMIT_S)
            self._raw.sendall(b"".join(self._queue))
        self._queue = []

    # `asyncio.BufferedProtocol`.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport; after a TLS handshake, there is another one."""
        self._transport = cast("asyncio.Transport", transport)  # that of uvloop is no subclass
        self._transport.set_write_buffer_limits(high=BATCH_BYTES)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to read to."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Handle what was read."""
        self.has_received = True
        try:
            events = self._parser.feed(bytes(self._view[:nbytes]))
        except NatsError as error:
            self._fail(error)
            return
        deliver = self._events.nats_message
        for event in events:
            if type(event) is tuple:
                if self.is_open:
                    deliver(*event)
            elif isinstance(event, NatsInfo):
                self._received_info(event)
            elif event is NatsSignal.PING:
                self.write(PONG)
            elif event is NatsSignal.PONG:
                self._received_pong()
            elif isinstance(event, NatsFault):
                self._received_fault(event.text)

    def pause_writing(self) -> None:
        """Write nothing until the kernel takes data again."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Continue to write."""
        self._is_full = False
        self._send_queue()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end of an open connection."""
        self._transport = None
        self._gone.set()
        self._writable.set()
        self.discard()
        reason = self._reason or (str(exc) if exc else "the server closed the connection")
        if not self._awaited.done():
            self._awaited.set_exception(ConnectionError(None, reason))
            self._awaited.exception()
        if self.is_open:
            self.is_open = False
            self._events.nats_closed(reason)

    # Private.

    async def _connect(self, resolver: HostResolver) -> None:
        addresses = await resolver.resolve(self._server.port)
        for index, (family, address) in enumerate(addresses):
            try:
                await self._loop.create_connection(lambda: self, address[0], address[1], family=family)
                break
            except OSError as error:
                if index == len(addresses) - 1:
                    raise OSError(error.errno, error.strerror or str(error)) from error
        await self._awaited

    async def _start_tls(self) -> None:
        assert self._transport is not None
        self._awaited = self._loop.create_future()
        transport = await self._loop.start_tls(
            self._transport, self, self._login.context(), server_hostname=self._login.tls_host or self._server.host
        )
        if transport is None:
            raise ConnectionError(None, "the server closed the connection during the TLS handshake")
        self.connection_made(transport)

    def _duplicate(self) -> socket.socket | None:
        """Return a second descriptor, for `send_last`; None with TLS."""
        assert self._transport is not None
        if self._transport.get_extra_info("sslcontext") is not None:
            return None
        own = self._transport.get_extra_info("socket")
        return socket.socket(own.family, own.type, own.proto, os.dup(own.fileno()))

    def _end_iteration(self) -> None:
        written = 0 if self._is_bursting else 1
        self._is_bursting = written + len(self._queue) > 1
        self._send_queue()

    def _send_queue(self) -> None:
        """Write the queue until the kernel is full; `resume_writing` continues."""
        while self._queue and not self._is_full and self._transport is not None:
            self._transport.write(self._take_batch())
        self._is_queueing = self._is_full
        if self._queue:
            return
        self._writable.set()
        if self._is_closing and self._transport is not None:
            self._transport.close()

    def _take_batch(self) -> bytes:
        size = count = 0
        for command in self._queue:
            size += len(command)
            count += 1
            if size >= BATCH_BYTES:
                break
        batch = self._queue[:count]
        del self._queue[:count]
        self._queue_bytes -= size
        return batch[0] if count == 1 else b"".join(batch)

    def _received_info(self, info: NatsInfo) -> None:
        self.info = info
        if self.is_open:
            self._events.nats_info(info)
        elif self._awaits_info:
            self._awaits_info = False
            self._awaited.set_result(None)

    def _received_pong(self) -> None:
        if self.is_open:
            self._events.nats_pong()
        elif not self._awaited.done():
            self._awaited.set_result(None)

    def _received_fault(self, text: str) -> None:
        if self.is_open:
            self._reason = self._reason or text
            self._events.nats_fault(text)
        else:
            self._fail(NatsError(f"the server refuses the login: {text}"))

    def _fail(self, error: NatsError) -> None:
        if not self._awaited.done():
            self._awaited.set_exception(error)
        self.abort(str(error))
