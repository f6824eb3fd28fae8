"""The error classes. Errors carry their data as attributes, and their text says what to do.

ZmqioError
├── ProtocolError (ValueError)          bytes or values that violate a protocol
│   ├── PacketError                     a Socket.IO packet
│   ├── TopicError                      a bus topic, or a namespace or room name that cannot be part of one
│   ├── EnvelopeError                   a message between nodes
│   │   └── VersionError                a message between nodes with an unsupported wire version
│   ├── NatsError                       bytes from a peer that does not speak NATS
│   ├── ZmtpError                       bytes from a peer that does not speak ZeroMQ, or is of the wrong kind
│   └── PublishRequestError             a publish request from an outside service
├── ConfigError (ValueError)            an option with an invalid value
├── ConnectRefused                      raised by a connect handler or middleware to refuse a client
├── BusError                            a message did not reach the other nodes
│   ├── BusUnavailableError             no broker is connected, and the operation cannot be queued
│   ├── BusOverflowError                the replay buffer is full of messages that no node has received
│   └── MessageTooLargeError            a message over the size limit of the bus
├── RequestTimeoutError (TimeoutError)  clients or nodes did not respond in time; keeps the responses received
├── ServeError                          `zmqio serve` cannot start or cannot continue
├── SocketGoneError                     the client has disconnected
└── ServerClosedError                   the server is closed and does not restart by itself

`ProtocolError` is raised for received and for sent data. For received data the peer is at fault: the receiver
counts and logs the error and drops the data. For data passed to zmqio the caller is at fault: the caller gets the
error.
"""

from collections.abc import Sequence
from typing import Any, cast

__all__ = [
    "BusError",
    "BusOverflowError",
    "BusUnavailableError",
    "ConfigError",
    "ConnectRefused",
    "EnvelopeError",
    "MessageTooLargeError",
    "NatsError",
    "PacketError",
    "ProtocolError",
    "PublishRequestError",
    "RequestTimeoutError",
    "ServeError",
    "ServerClosedError",
    "SocketGoneError",
    "TopicError",
    "VersionError",
    "ZmqioError",
    "ZmtpError",
]


class ZmqioError(Exception):
    """Base class of all errors that zmqio raises. All of them can be pickled, so they survive a process pool."""

    def __reduce__(self) -> tuple[Any, ...]:
        _, args, *state = cast("tuple[Any, ...]", super().__reduce__())
        return (_unpickle, (type(self), args), *state)


class ProtocolError(ZmqioError, ValueError):
    """Bytes or values violate a protocol."""


class PacketError(ProtocolError):
    """A Socket.IO packet is malformed, or a value cannot be encoded in a packet."""


class TopicError(ProtocolError):
    """A bus topic is malformed, or a namespace or room name cannot be part of one."""


class EnvelopeError(ProtocolError):
    """A message between nodes is malformed."""


class VersionError(EnvelopeError):
    """A message between nodes has a wire version that this node does not support."""

    def __init__(self, version: object, supported: int) -> None:
        super().__init__(
            f"wire version {version!r} is not supported (this node supports {supported}); run the same zmqio "
            "release on all nodes, or set a different `prefix` for each release"
        )
        self.version = version
        self.supported = supported


class NatsError(ProtocolError):
    """A peer violates the protocol of NATS; the text says how."""


class ZmtpError(ProtocolError):
    """A peer violates ZMTP 3; the text says how."""


class PublishRequestError(ProtocolError):
    """A publish request from an outside service is malformed; the text names the field."""


class ConfigError(ZmqioError, ValueError):
    """An option has an invalid value."""


class ConnectRefused(ZmqioError):
    """Raise this in a connect handler or middleware to refuse the client.

    The client receives a `connect_error` with `message`, and with `data` as `error.data`.
    """

    def __init__(self, message: str = "refused", data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class BusError(ZmqioError):
    """A message did not reach the other nodes. Local clients were served."""


class BusUnavailableError(BusError):
    """No broker is connected, and the operation cannot be queued. Nothing was sent to other nodes."""


class BusOverflowError(BusError):
    """The message was not sent to other nodes: the replay buffer is full, or no broker accepts a request.

    The buffer is full of messages that no other node can have received yet. It has room again as soon as other
    nodes have received some of them.

    Attributes:
        waiting_messages: number of messages already pending.
        limit_bytes: most bytes that may be pending (`replay_ring_bytes`).
    """

    def __init__(self, waiting_messages: int, limit_bytes: int) -> None:
        super().__init__(
            f"cannot queue the message: {waiting_messages} messages that no other node can have received yet are "
            f"already pending (limit {limit_bytes} bytes; requests are never queued); check the broker, emit "
            "less, or raise `replay_ring_bytes`"
        )
        self.waiting_messages = waiting_messages
        self.limit_bytes = limit_bytes


class MessageTooLargeError(BusError):
    """A message is over the size limit of the bus. It was not sent to other nodes."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"a message of {size_bytes} bytes is over the bus limit of {limit_bytes} bytes per message; send "
            "less at once, or raise `max_message_bytes` on every node and on the broker"
        )
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class RequestTimeoutError(ZmqioError, TimeoutError):
    """Not all responses arrived in time.

    Attributes:
        responses: the responses received, in order of arrival.
        expected: number of expected responses, as far as known.
        missing: ids of the nodes that did not respond.
    """

    def __init__(
        self,
        message: str = "the response did not arrive in time",
        *,
        responses: Sequence[Any] = (),
        expected: int = 1,
        missing: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.responses = list(responses)
        self.expected = expected
        self.missing = list(missing)

    def with_responses(self, responses: Sequence[Any]) -> "RequestTimeoutError":
        """Return the same error with its responses in the form that the caller expects."""
        return RequestTimeoutError(str(self), responses=responses, expected=self.expected, missing=self.missing)

    @property
    def received(self) -> int:
        """Number of responses received."""
        return len(self.responses)


class ServeError(ZmqioError):
    """`zmqio serve` cannot start or cannot continue; the text says why in one line."""


class ServerClosedError(ZmqioError):
    """The server is closed; only `await io.start()` starts it again."""

    def __init__(self) -> None:
        super().__init__("the server is closed and does not restart by itself; call `await io.start()` first")


class SocketGoneError(ZmqioError):
    """The client has disconnected."""


def _unpickle(kind: type[ZmqioError], args: tuple[Any, ...]) -> ZmqioError:
    """Recreate an error without its `__init__`, whose arguments may differ from those of its base class."""
    error = kind.__new__(kind, *args)
    if isinstance(error, OSError):  # TimeoutError too: `__new__` alone does not store its arguments
        OSError.__init__(error, *args)
    return error
