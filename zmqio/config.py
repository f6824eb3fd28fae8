"""Options: frozen, with units in their names, checked when they are made.

Every limit has its default here and nowhere else, and says what happens beyond it.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from zmqio.exceptions import ConfigError

__all__ = [
    "DEFAULT_ADDRESS",
    "REPLAY_OVERHEAD_BYTES",
    "BusOptions",
    "EngineOptions",
    "ServerOptions",
    "address_from_environment",
    "drain_s_from_environment",
    "node_tag_from_environment",
    "split_addresses",
]

DEFAULT_ADDRESS = "tcp://127.0.0.1:5555"
TCP_PORTS_OF_A_BROKER = 4
UNIX_PATH_BYTES = 107
"""Longest path of a Unix socket. Source: unix(7)."""
REPLAY_OVERHEAD_BYTES = 512
"""A message that is sent again travels inside an answer, which has to fit in one message too."""


def drain_s_from_environment() -> float:
    """Seconds of a drain that `ZMQIO_DRAIN_S` names, or 0.

    Raises:
        ConfigError: it is no number.
    """
    text = os.environ.get("ZMQIO_DRAIN_S") or "0"
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"ZMQIO_DRAIN_S={text!r} is no number of seconds") from None


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How a node speaks Engine.IO to its clients.

    Attributes:
        ping_interval_s: seconds between two heartbeats.
        ping_timeout_s: seconds that a client may take to answer one; then it is closed with `ping timeout`.
        upgrade_timeout_s: seconds that a WebSocket probe may take; then the probe is closed, polling goes on.
        max_payload_bytes: largest packet or polling body from a client, and largest polling body to one.
        max_payload_packets: most packets in one polling body; more closes the session (`parse error`).
        session_buffer_bytes: most bytes that wait for one client; beyond it is closed with `slow client`.
        session_buffer_packets: most packets that wait for one client; beyond it is closed with `slow client`.
        transports: what clients may use, of `polling` and `websocket`.
        allow_upgrades: whether a polling client may move to WebSocket.
        http_compression: whether polling bodies over `compression_threshold_bytes` are compressed.
        compression_threshold_bytes: smallest polling body that is compressed.
        cors_allowed_origins: `"*"`, a list of origins, a function of the origin, `()` for no CORS handling at
            all, or None for the same origin only.
        cors_credentials: whether browsers may send cookies.
        cookie: None, or the name of a cookie that carries the Engine.IO id, or a mapping of its attributes.
    """

    ping_interval_s: float = 25.0
    ping_timeout_s: float = 20.0
    upgrade_timeout_s: float = 10.0
    max_payload_bytes: int = 1_000_000
    max_payload_packets: int = 1_000
    session_buffer_bytes: int = 1 << 20
    session_buffer_packets: int = 10_000
    transports: Sequence[Literal["polling", "websocket"]] = ("polling", "websocket")
    allow_upgrades: bool = True
    http_compression: bool = True
    compression_threshold_bytes: int = 1_024
    cors_allowed_origins: str | Sequence[str] | Callable[[str], bool] | None = None
    cors_credentials: bool = True
    cookie: str | Mapping[str, str | bool] | None = None

    def __post_init__(self) -> None:
        _positive(self, "ping_interval_s", "ping_timeout_s", "upgrade_timeout_s", "max_payload_bytes")
        _positive(self, "max_payload_packets", "session_buffer_bytes", "session_buffer_packets")
        unknown = set(self.transports) - {"polling", "websocket"}
        if unknown or not self.transports:
            raise ConfigError(f"transports={self.transports!r}: choose from 'polling' and 'websocket'")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a node speaks Socket.IO to its clients.

    Attributes:
        connect_timeout_s: seconds that a connection may take to join its first namespace; then it is closed.
        request_timeout_s: seconds that answers from other nodes may take.
        max_pending_events: most events of one client that wait for a handler (with `concurrent_events`: that are
            handled at once); beyond it the client is read more slowly.
        concurrent_events: whether the handlers of one client's events run at the same time and not one after
            the other; they begin in order, and may end in any.
        cleanup_empty_child_namespaces: whether a namespace that was made by a pattern or function is closed when
            its last client leaves.
        max_empty_child_namespaces: most of such namespaces that are kept while nobody is in them; beyond it the
            longest empty are closed, and made again when a client comes.
        max_namespaces_per_client: most namespaces that one connection may be in; one more is refused.
        drain_s: seconds over which clients are let go when the host is told to stop, and by `close()`; 0: all at
            once. Left out: what `ZMQIO_DRAIN_S` says, else 0.
    """

    connect_timeout_s: float = 45.0
    request_timeout_s: float = 5.0
    max_pending_events: int = 100
    concurrent_events: bool = False
    cleanup_empty_child_namespaces: bool = False
    max_empty_child_namespaces: int = 1_000
    max_namespaces_per_client: int = 100
    drain_s: float = field(default_factory=drain_s_from_environment)

    def __post_init__(self) -> None:
        _positive(self, "connect_timeout_s", "request_timeout_s", "max_pending_events")
        _positive(self, "max_empty_child_namespaces", "max_namespaces_per_client")
        if not 0 <= self.drain_s < math.inf:
            raise ConfigError(f"drain_s={self.drain_s!r} has to be 0 or a number of seconds")


@dataclass(frozen=True, slots=True)
class BusOptions:
    """How a node speaks to the other nodes.

    Attributes:
        prefix: first part of every topic, so that several applications can share a broker.
        heartbeat_s: seconds between two heartbeats of this node.
        dead_after_s: seconds of silence after which a node is taken for dead.
        publish_queue_messages: most messages that wait for a broker that is connected; beyond it, as while no
            broker is, they wait in the replay ring alone, and volatile ones are dropped.
        max_message_bytes: largest message; a larger one is refused with `MessageTooLargeError` (512 bytes of it
            are for what a replay adds).
        barrier_timeout_s: longest time that a join waits for the second of several brokers.
        replay_ring_bytes: most bytes of sent messages that are kept for nodes that missed them; beyond it the
            oldest go. When those have not been taken by any broker yet, a publish fails with `BusOverflowError`.
        replay_ring_s: seconds that they are kept. What somebody misses and nobody keeps is a gap, and is told.
    """

    prefix: str = "zmqio"
    heartbeat_s: float = 1.0
    dead_after_s: float = 5.0
    publish_queue_messages: int = 10_000
    max_message_bytes: int = 8 << 20
    barrier_timeout_s: float = 0.25
    replay_ring_bytes: int = 64 << 20
    replay_ring_s: float = 60.0

    def __post_init__(self) -> None:
        _positive(self, "replay_ring_bytes", "replay_ring_s")
        _positive(self, "heartbeat_s", "dead_after_s", "publish_queue_messages", "max_message_bytes")
        _positive(self, "barrier_timeout_s")
        if self.max_message_bytes <= REPLAY_OVERHEAD_BYTES:
            raise ConfigError(
                f"max_message_bytes={self.max_message_bytes!r} has to be more than {REPLAY_OVERHEAD_BYTES}: so "
                "many bytes of it are for what a replay adds"
            )
        if not self.prefix or "/" in self.prefix or "\0" in self.prefix:
            raise ConfigError(f"prefix={self.prefix!r}: it must not be empty or have a '/' or a NUL in it")


def split_addresses(text: str) -> tuple[str, ...]:
    """Split "tcp://a:5555,tcp://b:5555" into checked broker addresses.

    Raises:
        ConfigError: an address is neither `tcp://host:port` nor `ipc://path`, or none is given.
    """
    addresses = tuple(part.strip() for part in text.split(",") if part.strip())
    if not addresses:
        raise ConfigError("no broker address given; write for example 'tcp://127.0.0.1:5555'")
    for address in addresses:
        _check_address(address)
    return addresses


def _check_address(address: str) -> None:
    scheme, _, rest = address.partition("://")
    if scheme == "ipc" and rest:
        _check_path(address, rest)
        return
    host, _, port = rest.rpartition(":")
    last_port = 65_536 - TCP_PORTS_OF_A_BROKER
    if scheme == "tcp" and host and port.isdecimal() and 0 < int(port) <= last_port:
        return
    raise ConfigError(
        f"broker address {address!r} is not one of 'tcp://host:port' (port 1 to {last_port}; the three ports "
        "after it are the broker's too) and 'ipc://path'"
    )


def _check_path(address: str, path: str) -> None:
    size = len(os.fsencode(path)) + len(".subscribe")
    if size > UNIX_PATH_BYTES:
        raise ConfigError(
            f"broker address {address!r}: the paths of its sockets would have {size} bytes; the system takes "
            f"{UNIX_PATH_BYTES} at most, so choose a shorter one"
        )


def _positive(options: object, *names: str) -> None:
    for name in names:
        value = getattr(options, name)
        if not value > 0:
            raise ConfigError(f"{name}={value!r} has to be greater than 0")


def node_tag_from_environment() -> str | None:
    """The node tag that `ZMQIO_NODE_TAG` names, if any."""
    return os.environ.get("ZMQIO_NODE_TAG") or None


def address_from_environment() -> str | None:
    """The broker address that `ZMQIO_ADAPTER` names, if any."""
    return os.environ.get("ZMQIO_ADAPTER") or None
