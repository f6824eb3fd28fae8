"""A connection to one NATS server on a blocking socket, for publishers without an event loop.

Knows one server. Knows nothing of topics or reconnecting; not thread-safe.
"""

import socket
import ssl
import time
from collections import deque
from contextlib import suppress

from zmqio.exceptions import NatsError
from zmqio.nats.addresses import NatsServer
from zmqio.nats.login import NatsLogin
from zmqio.protocol.nats import (
    PING,
    PONG,
    NatsEvent,
    NatsFault,
    NatsInfo,
    NatsParser,
    NatsSignal,
    connect_command,
)

__all__ = ["BlockingConnection"]

READ_BYTES = 1 << 14
MAX_PAYLOAD_BYTES = 1 << 20
"""Nothing is subscribed to, so no message arrives."""


class BlockingConnection:
    """Connects and logs in.

    Args:
        server: its address.
        login: user, key and TLS context.
        ends_at_s: time by `time.monotonic` at which an attempt ends.

    Attributes:
        info: the last INFO.
        fault: the last error that the server has reported, for example that publishing is not permitted.

    Raises:
        OSError: the server cannot be reached in time.
        NatsError: it does not speak NATS, or refuses the login.
        ConfigError: a signature needs a library that is not installed.
    """

    def __init__(self, server: NatsServer, login: NatsLogin, ends_at_s: float) -> None:
        self.fault = ""
        self._parser = NatsParser(MAX_PAYLOAD_BYTES)
        self._events: deque[NatsEvent] = deque()
        self._socket: socket.socket = socket.create_connection((server.host, server.port), _left_s(ends_at_s))
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.info = self._wait_for_info(ends_at_s)
            if login.ssl_context or server.tls or self.info.requires_tls:
                self._start_tls(login.context(), login.tls_host or server.host, ends_at_s)
            options = {"name": "zmqio emitter", "version": "1", **login.connect_options(self.info.nonce)}
            self.send(connect_command(options), ends_at_s)
            self.ping(ends_at_s)
        except BaseException:
            self._socket.close()
            raise
        if self.fault:
            self._socket.close()
            raise NatsError(f"the server refuses the login: {self.fault}")

    def poll(self) -> None:
        """Handle what the server has sent, without waiting: a PING to answer, an error, the end.

        Raises:
            OSError: the connection is closed.
        """
        self._socket.settimeout(0.0)
        with suppress(BlockingIOError, ssl.SSLWantReadError):
            self._receive()
        while self._events:
            self._handle(self._events.popleft())

    def send(self, command: bytes, ends_at_s: float) -> None:
        """Send a command.

        Raises:
            OSError: the connection is closed, or the server does not read; the command was not sent.
        """
        self._socket.settimeout(_left_s(ends_at_s))
        self._socket.sendall(command)

    def ping(self, ends_at_s: float) -> None:
        """Wait until the server has handled every command sent before.

        Raises:
            TimeoutError: it has not answered in time.
            OSError: the connection is closed.
        """
        self.send(PING, ends_at_s)
        while True:
            event = self._next(ends_at_s)
            if event is NatsSignal.PONG or (isinstance(event, NatsFault) and self._is_fatal(event)):
                return

    def close(self) -> None:
        """Close."""
        self._socket.close()

    def _is_fatal(self, fault: NatsFault) -> bool:
        return not fault.text.lower().startswith("permissions violation")

    def _wait_for_info(self, ends_at_s: float) -> NatsInfo:
        event = self._next(ends_at_s)
        if not isinstance(event, NatsInfo):
            raise NatsError("the peer does not speak NATS: its first line is no INFO")
        return event

    def _start_tls(self, context: ssl.SSLContext, host: str, ends_at_s: float) -> None:
        self._socket.settimeout(_left_s(ends_at_s))
        self._socket = context.wrap_socket(self._socket, server_hostname=host)

    def _next(self, ends_at_s: float) -> NatsEvent:
        while not self._events:
            self._socket.settimeout(_left_s(ends_at_s))
            self._receive()
        event = self._events.popleft()
        self._handle(event)
        return event

    def _receive(self) -> None:
        data = self._socket.recv(READ_BYTES)
        if not data:
            raise ConnectionError(None, self.fault or "the server closed the connection")
        self._events.extend(self._parser.feed(data))

    def _handle(self, event: NatsEvent) -> None:
        if isinstance(event, NatsInfo):
            self.info = event
        elif isinstance(event, NatsFault):
            self.fault = event.text
        elif event is NatsSignal.PING:
            self._socket.settimeout(1.0)
            self._socket.sendall(PONG)


def _left_s(ends_at_s: float) -> float:
    left_s = ends_at_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError(None, "no answer in time")
    return left_s
