"""The parts of uvicorn that zmqio's subclasses use or override: one table, checked once at start.

Uvicorn does not document most of them and may change any of them. If one is missing, `uvicorn_unsupported` is
logged with the names and uvicorn's version, and connections are served by uvicorn's own classes: correct, without
zmqio's repairs, and with broadcasts that take more CPU.

Not listed: `pause_writing` and `resume_writing`, which asyncio defines where uvicorn does not; `stop_keepalive`
and `keepalive_timeout`, which exist only in versions whose WebSocket protocol sends pings.
"""

import asyncio
from collections.abc import Mapping
from functools import cache
from operator import attrgetter
from typing import TypeAlias

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from zmqio.exceptions import ServeError
from zmqio.hosting.http_protocol import HttpProtocol
from zmqio.hosting.uvicorn_probes import make_probes
from zmqio.hosting.websocket_protocol import WebSocketProtocol
from zmqio.logger import get_logger

__all__ = [
    "ATTRIBUTES",
    "METHODS",
    "find_missing",
    "missing_names",
    "protocol_classes",
    "require_lifespan_state",
    "require_server",
]

log = get_logger(__name__)

Names: TypeAlias = Mapping[type, Mapping[str, str]]

METHODS: Names = {
    HttpToolsProtocol: {
        "_should_upgrade": "whether an upgrade to WebSocket is offered and possible",
        "_unset_keepalive_if_required": "stops the keep-alive timer",
        "connection_made": "extended, for TCP_NODELAY and the first head's time limit; on uvloop replaced",
        "connection_lost": "extended, to release received bytes and timers",
        "data_received": "replaced, to parse one request at a time",
        "eof_received": "replaced, to let half-closed clients get their answer",
        "on_message_begin": "extended, to put the peer into the scope",
        "handle_websocket_upgrade": "extended, to pass on the parsed request",
        "on_body": "replaced, to count the bytes between parts of a body",
        "on_headers_complete": "replaced, to limit the number of header fields, and to run `RequestCycle`",
        "on_message_complete": "extended, to find the end of a request",
        "on_response_complete": "replaced, to parse the next request",
        "timeout_keep_alive_handler": "replaced, to drop clients that do not read the last answer",
    },
    WebSocketsSansIOProtocol: {
        "connection_made": "stores the transport",
        "connection_lost": "extended, to stop direct writes",
        "data_received": "replaced, to parse large input in slices",
        "eof_received": "extended, to stop direct writes",
        "handle_bytes": "replaced, to pass whole messages to the engine",
        "handle_close": "extended, to stop direct writes before the answer to a Close frame",
        "handle_cont": "replaced, to join fragments",
        "handle_events": "handles parsed frames",
        "handle_parser_exception": "replaced, to stop direct writes, and to discard input after a Close frame",
        "handle_ping": "replaced, to merge pongs",
        "handle_text": "replaced, to pass whole messages to the engine",
        "on_task_complete": "forgets the task of the application; extended, to release the protocol object",
        "receive": "replaced, to continue with held input",
        "run_asgi": "extended, to offer the protocol object in the scope",
        "send": "extended, to answer a parsed request, and to note that a refused handshake is complete",
        "shutdown": "extended, to stop direct writes before a Close frame",
    },
    uvicorn.Server: {
        "handle_exit": "extended, to notice a repeated stop signal",
        "main_loop": "replaced, to wake up once a second",
        "on_tick": "updates the Date header, and returns whether to stop",
        "serve": "runs the server; extended, to keep the event loop",
        "shutdown": "extended, to close the app's connections first",
        "startup": "extended, to freeze the heap and to report the start",
    },
}
"""Class -> method -> what zmqio uses it for."""

ATTRIBUTES: Names = {
    HttpToolsProtocol: {
        "access_log": "whether each response is logged",
        "access_logger": "logs each response",
        "app": "the application",
        "app_state": "copied into each scope",
        "client": "the address of the peer",
        "config": "whether a request begins without context variables",
        "connections": "counted for `limit_concurrency`",
        "cycle": "the current request",
        "expect_100_continue": "whether the client waits before it sends the body",
        "flow.read_paused": "whether reading is paused because of a large body; replaced by a smaller object",
        "headers": "of the current request",
        "limit_concurrency": "beyond it, requests are refused",
        "logger": "logs errors of the application",
        "loop": "for time limits, and to run the application",
        "parser": "parses requests; replaced after a declined upgrade",
        "pipeline": "requests that wait; always empty here",
        "root_path": "the beginning of every path",
        "scheme": "of the connection, for its WebSocket",
        "scope": "of the current request",
        "server": "the address of this server, for the connection's WebSocket",
        "server_state": "headers of every response",
        "tasks": "running requests",
        "timeout_keep_alive": "seconds that a connection may be idle",
        "timeout_keep_alive_task": "the timer of idle connections",
        "transport": "writes responses; paused, resumed and closed",
        "url": "of the current request",
        "ws_protocol_class": "whether WebSockets are served by zmqio's class",
    },
    WebSocketsSansIOProtocol: {
        "app_state": "copied into each scope",
        "client": "the address of the peer",
        "close_sent": "whether a Close frame was sent",
        "conn.available_extensions": "emptied, so that compression is negotiated for the engine only",
        "conn.close_sent": "close code after a violation",
        "conn.data_to_send": "encoded control frames",
        "conn.extensions": "decompresses what clients send",
        "conn.fail": "closes with a code",
        "conn.parse": "parses frames behind a parsed opening request",
        "conn.parser": "replaced by the generator of `conn.parse`; cleared when the connection is lost",
        "conn.parser_exc": "whether the client's frames were invalid; cleared when the connection is lost",
        "conn.process_extensions": "negotiates compression",
        "conn.receive_data": "parses frames",
        "conn.state": "set when a parsed opening request is answered",
        "config": "whether WebSockets are logged; the ASGI version",
        "connections": "the set of open connections",
        "default_headers": "headers of the answer to a parsed opening request",
        "handshake_complete": "whether frames may be parsed; set after a refused handshake",
        "handshake_initiated": "whether the opening request was parsed",
        "initial_response": "whether the handshake is being refused",
        "loop": "for the time-out of the closing handshake",
        "queue": "events for `receive()`; replaced by a smaller one",
        "read_paused": "whether reading is paused until `receive()`",
        "request": "cleared after the handshake, to save memory",
        "response": "gets the answer to an offer of compression; cleared after the handshake, to save memory",
        "root_path": "the beginning of every path",
        "scheme": "of the opening request",
        "scope.get": "has the client's offer of compression; carries the protocol object to the engine",
        "server": "the address of this server",
        "tasks": "running applications",
        "transport": "writes frames",
        "writable": "set while the transport accepts data; replaced by a smaller event",
    },
    uvicorn.Server: {
        "config": "the loaded configuration",
        "limit_max_requests": "requests after which the server stops",
        "server_state": "shared by all connections",
        "should_exit": "whether a stop was requested; extended, to wake the main loop",
        "started": "whether the start succeeded",
    },
    uvicorn.Config: {
        "http_protocol_class": "creates the protocol of an accepted connection",
        "ssl": "the TLS context of an accepted connection",
    },
    ServerState: {
        "connections.discard": "the set of open connections; each source has its own",
        "default_headers": "headers of every response",
        "tasks": "running requests",
        "total_requests": "counted per source",
    },
}
"""Class -> attribute, possibly of an attribute -> what zmqio uses it for."""


def protocol_classes() -> tuple[type[HttpToolsProtocol], type[WebSocketsSansIOProtocol]]:
    """Return zmqio's HTTP and WebSocket protocol classes, or uvicorn's own if any name is missing."""
    if missing_names():
        return HttpToolsProtocol, WebSocketsSansIOProtocol
    return HttpProtocol, WebSocketProtocol


def require_server() -> None:
    """Check the names without which connections that another process has accepted cannot be served at all.

    Raises:
        ServeError: one of them is missing.
    """
    owners = tuple(f"{owner.__name__}." for owner in (uvicorn.Server, uvicorn.Config, ServerState))
    _raise_if([name for name in missing_names() if name.startswith(owners)])


def require_lifespan_state(server: uvicorn.Server) -> None:
    """Check the one name that exists only after `Server.startup`.

    Raises:
        ServeError: it is missing.
    """
    _raise_if([] if _has(server, "lifespan.state") else ["Server.lifespan.state"])


@cache
def missing_names() -> tuple[str, ...]:
    """Check the installed uvicorn once, log what is missing, and return it."""
    missing = find_missing()
    if missing:
        log.warning(
            "uvicorn_unsupported",
            missing=missing,
            version=uvicorn.__version__,
            effect="served by uvicorn's own classes",
            hint="install a version within zmqio's requirements",
        )
    return tuple(missing)


def find_missing() -> list[str]:
    """Return the names of both tables that the installed uvicorn lacks, as "Class.name".

    Attributes are looked up on objects that have handled one request each, without an event loop or a socket.
    """
    missing = [
        f"{owner.__name__}.{name}"
        for owner, names in METHODS.items()
        for name in names
        if not _defines(owner, name)
    ]
    if missing:
        return missing
    try:
        probes = make_probes()
    except Exception as error:  # noqa: BLE001 - a changed uvicorn may raise anything
        return [f"probe ({type(error).__name__}: {error})"]
    return [
        f"{owner.__name__}.{name}"
        for owner, names in ATTRIBUTES.items()
        for name in names
        if not _has(probes[owner], name)
    ]


def _raise_if(missing: list[str]) -> None:
    if missing:
        raise ServeError(
            f"cannot serve with uvicorn {uvicorn.__version__}: it has no {', '.join(missing)}; install a version "
            "within zmqio's requirements"
        )


def _defines(owner: type, name: str) -> bool:
    """Whether a class has a method of its own or from a base class other than asyncio's."""
    method = getattr(owner, name, None)
    return method is not None and method is not getattr(asyncio.Protocol, name, None)


def _has(probe: object, name: str) -> bool:
    try:
        attrgetter(name)(probe)
    except AttributeError:
        return False
    return True
