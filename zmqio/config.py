"""Options of `zmqio.Server` and `zmqio.ZmqAdapter`: frozen, with units in their names, checked on construction.

Every field of `EngineOptions` and `ServerOptions` is an option of `Server(...)`. Every field of `BusOptions` is an
option of `ZmqAdapter(...)`. Their defaults are set only here.
"""

import inspect
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from zmqio.exceptions import ConfigError
from zmqio.trusted_proxies import TrustedProxies

__all__ = [
    "DEFAULT_ADDRESS",
    "REPLAY_OVERHEAD_BYTES",
    "BusOptions",
    "EngineOptions",
    "HttpLimits",
    "ManagerOptions",
    "Recovery",
    "ServerOptions",
    "address_from_environment",
    "drain_s_from_environment",
    "given_options",
    "http_limits_from_environment",
    "node_tag_from_environment",
    "trusted_proxies_from_environment",
]

DEFAULT_ADDRESS = "tcp://127.0.0.1:5555"
REPLAY_OVERHEAD_BYTES = 512
"""Reserved in every message: a replayed message is wrapped in a response, which must fit in one message too."""


def drain_s_from_environment() -> float:
    """Return the seconds in `ZMQIO_DRAIN_S`; 0 if it is not set.

    Raises:
        ConfigError: the value is not a number.
    """
    text = os.environ.get("ZMQIO_DRAIN_S") or "0"
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"ZMQIO_DRAIN_S={text!r} is not a number of seconds") from None


def trusted_proxies_from_environment() -> str:
    """Return `FORWARDED_ALLOW_IPS`, which uvicorn reads as well; the loopback addresses if it is not set."""
    return os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits of `zmqio.uvicorn.HttpProtocol` on one connection. All must be greater than 0.

    Attributes:
        max_head_bytes: largest request head, with its empty line (default 32,768, or `ZMQIO_MAX_HEAD_BYTES`). The
            same holds for the trailers of a body, and for each chunk's extensions. Beyond that, the answer is 431
            and the connection is closed.
        head_limit_s: seconds that a request head may take, and an unread body after its answer (default 10, or
            `ZMQIO_HEAD_LIMIT_S`). After that, the answer is 408 and the connection is closed.
        write_timeout_s: seconds during which a client may read nothing of the data that waits for it (default 60,
            or `ZMQIO_WRITE_TIMEOUT_S`). After that, the connection is dropped.
    """

    max_head_bytes: int = 1 << 15
    head_limit_s: float = 10.0
    write_timeout_s: float = 60.0


HTTP_LIMITS = HttpLimits()
"""The defaults."""


def http_limits_from_environment() -> HttpLimits:
    """Return the limits, each from its environment variable if that is set.

    Raises:
        ConfigError: a value is not a number greater than 0.
    """
    names = ("max_head_bytes", "head_limit_s", "write_timeout_s")
    given = {name: os.environ.get(f"ZMQIO_{name.upper()}") for name in names}
    return HttpLimits(**{name: _limit(name, text) for name, text in given.items() if text})


def _limit(name: str, text: str) -> Any:
    try:
        number = int(text) if name.endswith("bytes") else float(text)
    except ValueError:
        number = 0
    if not 0 < number < math.inf:
        raise ConfigError(f"ZMQIO_{name.upper()}={text!r} must be a number greater than 0")
    return number


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Options of Engine.IO: connections, heartbeat and limits of one client.

    Attributes:
        ping_interval_s: seconds between two heartbeats (default 25). One may be up to 4 % later, to be sent
            together with others.
        ping_timeout_s: seconds that a client has to answer a heartbeat (default 20). After that, its session is
            closed with the reason `ping timeout`.
        upgrade_timeout_s: seconds that an upgrade to WebSocket may take (default 10). After that, the WebSocket is
            closed and the session continues over polling.
        first_packet_timeout_s: seconds in which a new session must send its first packet (default 10). After that,
            it is closed with the reason `forced close`. Clients send CONNECT at once.
        max_sessions: most open sessions of this node (default 100,000). Beyond that, handshakes are refused with
            503.
        max_sessions_per_address: most open sessions of one client address; an IPv6 /64 network counts as one
            (default None: no limit, because many users may share an address). Beyond that, handshakes are refused
            with 503. Behind a proxy, the ASGI server must trust its `X-Forwarded-For` (uvicorn:
            `--forwarded-allow-ips`); otherwise all clients have the address of the proxy.
        max_handshake_bytes: largest head, query and headers, of the request that opens a session (default 16
            KiB); it is kept as long as the session. A larger one, and one with more than 100 headers, is refused
            with 431.
        max_payload_bytes: largest packet or polling body from a client, and largest polling body to a client
            (default 1,000,000). A larger WebSocket message closes the session; a larger body is rejected with 413.
        body_timeout_s: seconds in which the body of a POST must be complete (default 20), plus one second for
            every `body_min_bytes_per_s` received. After that, it is rejected with 408 and its session is closed
            with the reason `transport error`.
        body_min_bytes_per_s: slowest rate at which a client may send a large body, in bytes per second (default
            10,000).
        max_payload_packets: most packets in one polling body, in either direction (default 1,000). A client's body
            with more closes the session with the reason `parse error`.
        session_buffer_bytes: most bytes queued for one client (default 1 MiB) for longer than
            `slow_client_grace_s`. After that, its session is closed with the reason `slow client`; beyond 10 times
            the larger of this option and `max_payload_bytes` at once.
        session_buffer_packets: most packets queued for one client (default 10,000) for longer than
            `slow_client_grace_s`. After that, its session is closed with the reason `slow client`; beyond 10 times
            as many at once.
        slow_client_grace_s: seconds for which more may be queued for a client (default 10). A handler may send a
            long history at once: the client has this time to fetch it.
        slow_clients_bytes: most bytes queued for all clients in that time together (default 96 MiB), without
            broadcasts. Beyond that, the session with most is closed with the reason `slow client`.
        transports: transports that clients may use (default both: `polling` and `websocket`).
        allow_upgrades: whether a polling client may upgrade to WebSocket (default True).
        http_compression: whether polling bodies are compressed if the client accepts it (default True).
        websocket_compression: whether packets are compressed for WebSocket clients that offer permessage-deflate
            (default False). A broadcast is compressed once for all clients, and no connection keeps memory for it.
            Only with `--ws zmqio.uvicorn:WebSocketProtocol`, which `zmqio serve` uses.
        compression_threshold_bytes: smallest polling body, and smallest packet over WebSocket, that is compressed
            (default 1,024).
        cors_allowed_origins: origins whose pages may connect. None (default): only the server's own origin. `"*"`:
            every origin, without credentials. A list of origins, or a plain function of the origin: those it
            allows, with credentials; a list may contain `"*"` for all others. `()`: no CORS handling, for a proxy
            or middleware that does it. Other origins are refused with 403, over HTTP and WebSocket.
        cors_credentials: whether browsers may send cookies from origins that are allowed by name (default True).
            `"*"` never allows it. Over a WebSocket browsers always send cookies, from every origin that may
            connect.
        trusted_proxies: addresses and networks, separated by commas, of proxies whose `X-Forwarded-Host` and
            `X-Forwarded-Proto` state the server's own origin; `"*"` trusts every peer (default: the environment
            variable `FORWARDED_ALLOW_IPS`, otherwise the loopback addresses: a proxy on the same machine).
        subprotocols: WebSocket subprotocols of the application. Of those that a client offers, the server selects
            the first one in this list, or none. None (default): the first one that the client offers; browsers
            close a WebSocket for which none of their offers was selected.
        cookie: name of a cookie that carries the Engine.IO id, or a mapping with its `name` and attributes. None
            (default): no cookie.
        direct_writes: whether broadcasts are written to WebSockets' file descriptors on uvloop (default True).
    """

    ping_interval_s: float = 25.0
    ping_timeout_s: float = 20.0
    upgrade_timeout_s: float = 10.0
    first_packet_timeout_s: float = 10.0
    max_sessions: int = 100_000
    max_sessions_per_address: int | None = None
    max_handshake_bytes: int = 16 << 10
    max_payload_bytes: int = 1_000_000
    body_timeout_s: float = 20.0
    body_min_bytes_per_s: int = 10_000
    max_payload_packets: int = 1_000
    session_buffer_bytes: int = 1 << 20
    session_buffer_packets: int = 10_000
    slow_client_grace_s: float = 10.0
    slow_clients_bytes: int = 96 << 20
    transports: Sequence[Literal["polling", "websocket"]] = ("polling", "websocket")
    allow_upgrades: bool = True
    http_compression: bool = True
    websocket_compression: bool = False
    compression_threshold_bytes: int = 1_024
    cors_allowed_origins: str | Sequence[str] | Callable[[str], bool] | None = None
    cors_credentials: bool = True
    trusted_proxies: str = field(default_factory=trusted_proxies_from_environment)
    subprotocols: Sequence[str] | None = None
    cookie: str | Mapping[str, str | bool] | None = None
    direct_writes: bool = True

    def __post_init__(self) -> None:
        _positive(self, "ping_interval_s", "ping_timeout_s", "upgrade_timeout_s", "max_payload_bytes")
        _positive(self, "max_payload_packets", "session_buffer_bytes", "session_buffer_packets")
        TrustedProxies(self.trusted_proxies)
        if _is_async(self.cors_allowed_origins):
            raise ConfigError("cors_allowed_origins is an async function; write a plain one that returns a bool")
        _positive(self, "body_timeout_s", "body_min_bytes_per_s", "first_packet_timeout_s")
        _positive(self, "max_sessions", "max_handshake_bytes", "slow_clients_bytes")
        if self.max_sessions_per_address is not None:
            _positive(self, "max_sessions_per_address")
        if not 0 <= self.slow_client_grace_s < math.inf:
            raise ConfigError(f"slow_client_grace_s={self.slow_client_grace_s!r} must be 0 or a positive number")
        _check_cookie(self.cookie)
        if isinstance(self.subprotocols, str):
            raise ConfigError(f"subprotocols={self.subprotocols!r} must be a list of names, not one text")
        unknown = set(self.transports) - {"polling", "websocket"}
        if unknown or not self.transports:
            raise ConfigError(f"transports={self.transports!r} must be one or both of 'polling' and 'websocket'")


@dataclass(frozen=True, slots=True)
class Recovery:
    """Options of connection state recovery: `Server(recovery=Recovery(...))`; see docs/recovery.md.

    Attributes:
        max_disconnection_s: seconds in which a client that lost its connection can return to its session (default
            120).
        skip_middlewares: whether connection middleware is skipped for a recovered client (default True, as in the
            JavaScript server). The connect handler is always called.
        max_sessions: most sessions of disconnected clients that one node keeps (default 100,000). Beyond that, the
            oldest are dropped.
        max_session_bytes: most bytes of memory, estimated, that these sessions take (default 64 MiB). Beyond that,
            the oldest are dropped.
        max_log_bytes: most bytes of sent packets that one node keeps for clients that missed them (default 64
            MiB). Beyond that, the oldest are dropped, and clients that missed one of them are not recovered.
    """

    max_disconnection_s: float = 120.0
    skip_middlewares: bool = True
    max_sessions: int = 100_000
    max_session_bytes: int = 64 << 20
    max_log_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        _positive(self, "max_disconnection_s", "max_sessions", "max_session_bytes", "max_log_bytes")
        if self.max_disconnection_s == math.inf:
            raise ConfigError("max_disconnection_s must be a finite number of seconds")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Options of Socket.IO: namespaces, events and the shutdown of one node.

    Attributes:
        connect_timeout_s: seconds that a connection has to join its first namespace (default 45). After that, it
            is closed. One that sends nothing at all is closed earlier (`first_packet_timeout_s`).
        connect_handler_timeout_s: seconds that each of these may take to admit a client (default 30): the function
            of a dynamic namespace, all middleware, the connect handler. After that, it is cancelled and the client
            refused. It is also cancelled when the client goes.
        request_timeout_s: seconds to wait for responses from other nodes (default 5). After that, the request
            fails with `RequestTimeoutError`.
        max_pending_events: most events of one client that wait for a handler; with `concurrent_events`, most
            that are handled at once (default 100). Beyond that, the server stops reading from the client until
            fewer wait.
        max_pending_event_bytes: most bytes of memory, estimated, that the events of one client take until they are
            handled, in all namespaces together (default 16 MiB). Beyond that, the server stops reading from the
            client until half is free, also while an acknowledgement of the client is awaited. One event is always
            accepted. When the client goes, queued events of more than 64 KiB are dropped.
        concurrent_events: whether the handlers of one client's events run concurrently (default False: one after
            the other). Concurrent handlers start in order and may finish in any order.
        cleanup_empty_child_namespaces: whether a namespace created by a pattern or function is closed when its
            last client leaves (default False).
        max_empty_child_namespaces: most empty namespaces created by a pattern or function that are kept (default
            1,000). Beyond that, those that have been empty longest are closed; they are created again on demand.
        max_namespaces_per_client: most namespaces that one connection may join (default 100). Beyond that, joins
            are refused.
        max_auth_bytes: most bytes of memory, estimated, of the auth payload with which a client joins a namespace
            (default 32 KiB). Beyond that, the join is refused.
        health_details: whether the ready path shows node ids, counters and problems with brokers to everyone
            (default False: only whether the node is ready, and the class of the reason). `Server.health()` always
            has them.
        drain_s: seconds over which clients are disconnected when the host stops and by `close()` (default: the
            environment variable `ZMQIO_DRAIN_S`, otherwise 0). 0 disconnects all clients at once.
        recovery: whether a client that lost its connection gets its id, rooms, data and missed events back when it
            returns (default False). `Recovery(...)` sets the limits.
    """

    connect_timeout_s: float = 45.0
    connect_handler_timeout_s: float = 30.0
    request_timeout_s: float = 5.0
    max_pending_events: int = 100
    max_pending_event_bytes: int = 16 << 20
    concurrent_events: bool = False
    cleanup_empty_child_namespaces: bool = False
    max_empty_child_namespaces: int = 1_000
    max_namespaces_per_client: int = 100
    max_auth_bytes: int = 32 << 10
    health_details: bool = False
    drain_s: float = field(default_factory=drain_s_from_environment)
    recovery: "bool | Recovery" = False

    def __post_init__(self) -> None:
        _positive(self, "connect_timeout_s", "request_timeout_s", "max_pending_events")
        _positive(self, "max_empty_child_namespaces", "max_namespaces_per_client")
        _positive(self, "max_pending_event_bytes", "max_auth_bytes", "connect_handler_timeout_s")
        if not 0 <= self.drain_s < math.inf:
            raise ConfigError(f"drain_s={self.drain_s!r} must be 0 or a positive, finite number of seconds")
        if not isinstance(self.recovery, bool | Recovery):
            raise ConfigError(f"recovery={self.recovery!r} must be True, False or zmqio.Recovery(...)")


@dataclass(frozen=True, slots=True)
class BusOptions:
    """Options of the bus: messages between nodes, their replay, and failure detection.

    Attributes:
        prefix: first part of every topic (default `zmqio`). Applications with different prefixes can share a
            broker.
        heartbeat_s: seconds between two heartbeats of this node (default 1).
        dead_after_s: seconds of silence after which another node is considered dead (default 5).
        max_nodes: most other nodes that this node knows (default 1,000). As many may join at once, and then a
            tenth of them per second. Beyond that, heartbeats of unknown nodes are ignored; known nodes stay.
        publish_queue_messages: most messages queued for a connected broker (default 10,000). Their size is
            limited by `replay_ring_bytes`. Beyond that, and while no broker is connected, messages are kept only
            in the replay buffer, and volatile ones are dropped.
        max_message_bytes: largest message between nodes, of which 512 bytes are reserved for replay (default 8
            MiB). A larger message fails with `MessageTooLargeError`. Set the same limit on the broker.
        barrier_timeout_s: with several brokers, the longest time that a join waits for the acknowledgement of a
            second broker (default 0.25).
        replay_ring_bytes: most bytes of sent messages kept for nodes that missed them (default 64 MiB). Beyond
            that, the oldest are discarded. If no other node can have received the oldest yet, broadcasts reach
            local clients only, and the other nodes report them as lost; other messages fail with
            `BusOverflowError`.
        replay_ring_s: seconds that sent messages are kept (default 60). A node that misses a message that is no
            longer kept reports a gap (`io.on_bus_gap`).
        replay_bytes_per_s: highest rate of replayed messages to one node, in bytes per second (default 32 MiB).
            Beyond that, its next request is answered later.
    """

    prefix: str = "zmqio"
    heartbeat_s: float = 1.0
    dead_after_s: float = 5.0
    max_nodes: int = 1_000
    publish_queue_messages: int = 10_000
    max_message_bytes: int = 8 << 20
    barrier_timeout_s: float = 0.25
    replay_ring_bytes: int = 64 << 20
    replay_ring_s: float = 60.0
    replay_bytes_per_s: int = 32 << 20

    def __post_init__(self) -> None:
        _positive(self, "replay_ring_bytes", "replay_ring_s", "replay_bytes_per_s", "max_nodes")
        _positive(self, "heartbeat_s", "dead_after_s", "publish_queue_messages", "max_message_bytes")
        _positive(self, "barrier_timeout_s")
        if self.max_message_bytes <= REPLAY_OVERHEAD_BYTES:
            raise ConfigError(
                f"max_message_bytes={self.max_message_bytes!r} must be more than {REPLAY_OVERHEAD_BYTES}: so many "
                "bytes are reserved for replay"
            )
        if not self.prefix or "/" in self.prefix or "\0" in self.prefix:
            raise ConfigError(f"prefix={self.prefix!r} must not be empty or contain '/' or NUL")


@dataclass(frozen=True, slots=True)
class ManagerOptions:
    """Options of `zmqio.python_socketio.AsyncManager` and `Manager`: limits of one node of python-socketio.

    Attributes:
        session_buffer_bytes: most bytes queued for one client (default 1 MiB) for longer than
            `slow_client_grace_s`. After that, its connection is closed; beyond 10 times as many at once.
        session_buffer_packets: most packets queued for one client (default 10,000) for longer than
            `slow_client_grace_s`. After that, its connection is closed; beyond 10 times as many at once.
        slow_client_grace_s: seconds for which more may be queued for a client (default 10).
        request_timeout_s: seconds that `manager.cluster(...)` waits for responses from other nodes (default 5).
        callback_timeout_s: seconds after which the callback of an emit is forgotten (default 300). Set it to the
            longest `timeout` of `call()`.
    """

    session_buffer_bytes: int = 1 << 20
    session_buffer_packets: int = 10_000
    slow_client_grace_s: float = 10.0
    request_timeout_s: float = 5.0
    callback_timeout_s: float = 300.0

    def __post_init__(self) -> None:
        _positive(self, "session_buffer_bytes", "session_buffer_packets", "request_timeout_s")
        _positive(self, "callback_timeout_s")
        if not 0 <= self.slow_client_grace_s < math.inf:
            raise ConfigError(f"slow_client_grace_s={self.slow_client_grace_s!r} must be 0 or a positive number")


def given_options(options: BusOptions) -> dict[str, Any]:
    """Return the options that do not have their default value, which is not the same for every bus."""
    given = ((field, getattr(options, field.name)) for field in fields(options))
    return {field.name: value for field, value in given if value != field.default}


def _check_cookie(cookie: object) -> None:
    if cookie is None or (isinstance(cookie, str) and cookie):
        return
    if not isinstance(cookie, Mapping) or not isinstance(cookie.get("name", "io"), str):
        raise ConfigError(f"cookie={cookie!r} must be a name, a mapping of attributes, or None for no cookie")
    for name, value in cookie.items():
        if not isinstance(value, str | bool):
            raise ConfigError(
                f"cookie: the attribute {name}={value!r} must be text or a bool; write {str(value)!r}"
            )


def _positive(options: object, *names: str) -> None:
    for name in names:
        value = getattr(options, name)
        if not value > 0:
            raise ConfigError(f"{name}={value!r} must be greater than 0")


def node_tag_from_environment() -> str | None:
    """Return the node tag in `ZMQIO_NODE_TAG`; None if it is not set."""
    return os.environ.get("ZMQIO_NODE_TAG") or None


def address_from_environment() -> str | None:
    """Return the broker address in `ZMQIO_ADAPTER`; None if it is not set."""
    return os.environ.get("ZMQIO_ADAPTER") or None


def _is_async(function: object) -> bool:
    call = type(function).__call__ if callable(function) else None
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
