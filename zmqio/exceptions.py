"""The error tree. Every error carries its data as attributes and says what to do about it.

ZmqioError
├── ProtocolError (ValueError)          bytes or values that break a rule of a protocol
│   ├── PacketError                     a Socket.IO packet
│   ├── TopicError                      a bus topic; a namespace or room name that cannot be one
│   ├── EnvelopeError                   a message between nodes
│   │   └── VersionError                ... of a wire version that this node does not speak
│   ├── ZmtpError                       what a peer says that is no ZeroMQ peer, or not the right one
│   └── PublishRequestError             a request from an outside service
├── ConfigError (ValueError)            an option that cannot work; says which, its value and what would
├── ConnectRefused                      raised by a connect handler or middleware to refuse a client
├── BusError                            the way to the other nodes
│   ├── BusUnavailableError             no broker is connected, for what cannot wait
│   ├── BusOverflowError                no broker takes messages, and no more can wait
│   └── MessageTooLargeError            over the limit for one message on the bus
├── RequestTimeoutError (TimeoutError)  answers of clients or nodes did not come in time; keeps those that did
├── ServeError                          `zmqio serve` cannot start, or cannot go on
├── SocketGoneError                     the client has disconnected
└── ServerClosedError                   the server was closed and does not start again by itself

Whose fault is it: `ProtocolError` is raised on both sides. On what was received it is the peer's fault and
ends at the place that received it (counted, logged, dropped); on what the caller passed it is the caller's.
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
    """Base of every error that zmqio raises on purpose. Each can be pickled: a process pool hands it on whole."""

    def __reduce__(self) -> tuple[Any, ...]:
        _, args, *state = cast("tuple[Any, ...]", super().__reduce__())
        return (_remake, (type(self), args), *state)


class ProtocolError(ZmqioError, ValueError):
    """Bytes or values break a rule of a protocol."""


class PacketError(ProtocolError):
    """A Socket.IO packet is malformed, or a value cannot be put in one."""


class TopicError(ProtocolError):
    """A bus topic is malformed, or a namespace or room name cannot be part of one."""


class EnvelopeError(ProtocolError):
    """A message between nodes is malformed."""


class VersionError(EnvelopeError):
    """A message between nodes has a wire version that this node does not speak."""

    def __init__(self, version: object, supported: int) -> None:
        super().__init__(
            f"wire version {version!r} is not spoken here (this node speaks {supported}); "
            "run the same zmqio release on all nodes, or give them different prefixes"
        )
        self.version = version
        self.supported = supported


class ZmtpError(ProtocolError):
    """A peer does not speak ZMTP 3 as it must; the text says what it did."""


class PublishRequestError(ProtocolError):
    """A publish request from an outside service is malformed; the text names the field."""


class ConfigError(ZmqioError, ValueError):
    """An option has a value that cannot work."""


class ConnectRefused(ZmqioError):
    """Raise it in a connect handler or middleware to refuse the client.

    The client gets a `connect_error` with `message`, and `data` as `error.data`.
    """

    def __init__(self, message: str = "refused", data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class BusError(ZmqioError):
    """The way to the other nodes failed; local clients were served all the same."""


class BusUnavailableError(BusError):
    """No broker is connected, and this cannot wait for one; it did not leave this process."""


class BusOverflowError(BusError):
    """No broker takes messages, and there is no room for one more to wait; it was not sent to other nodes.

    Attributes:
        waiting_messages: how many wait already.
        limit_bytes: most bytes that may wait.
    """

    def __init__(self, waiting_messages: int, limit_bytes: int) -> None:
        super().__init__(
            f"no broker takes messages, and the {waiting_messages} that wait leave no room for another (limit "
            f"{limit_bytes} bytes; a question never waits): emit less, look after the broker, or raise "
            "`replay_ring_bytes`"
        )
        self.waiting_messages = waiting_messages
        self.limit_bytes = limit_bytes


class MessageTooLargeError(BusError):
    """A message is over the limit for one message on the bus; it was not sent to other nodes."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"a message of {size_bytes} bytes is over the limit of {limit_bytes} bytes for one message on the "
            "bus; send less at once, or raise `max_message_bytes` on every node and on the broker"
        )
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class RequestTimeoutError(ZmqioError, TimeoutError):
    """Not all answers came in time.

    Attributes:
        responses: the answers that did come, in the order in which they came.
        expected: how many answers were due, as far as known.
        missing: ids of the nodes that did not answer.
    """

    def __init__(
        self,
        message: str = "the answer did not come in time",
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
        """The same error, with its answers in the form that the caller would have got them in."""
        return RequestTimeoutError(str(self), responses=responses, expected=self.expected, missing=self.missing)

    @property
    def received(self) -> int:
        """How many answers came."""
        return len(self.responses)


class ServeError(ZmqioError):
    """`zmqio serve` cannot start, or cannot go on; the text says why in one line."""


class ServerClosedError(ZmqioError):
    """The server was closed; only an explicit `await io.start()` starts it again."""

    def __init__(self) -> None:
        super().__init__("the server was closed; it does not start again by itself: `await io.start()`")


class SocketGoneError(ZmqioError):
    """The client has disconnected, so there is nobody to answer."""


def _remake(kind: type[ZmqioError], args: tuple[Any, ...]) -> ZmqioError:
    """Make an error again without its `__init__`, which may want other arguments than those it gave its base."""
    error = kind.__new__(kind, *args)
    if isinstance(error, OSError):  # a TimeoutError, too; it has not looked at them yet
        OSError.__init__(error, *args)
    return error
