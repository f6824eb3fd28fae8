"""Read a client's HTTP request, check it against the protocol, and build the open packet. Pure.

Source: Engine.IO protocol v4, "Handshake"; the order of the checks and the error bodies are those of engine.io 6
(`Server.verify`, `abortRequest`).
"""

import json
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from zmqio.config import EngineOptions
from zmqio.ids import EngineSid
from zmqio.protocol.query import MAX_QUERY_FIELDS, has_too_many_fields, parse_query
from zmqio.trusted_proxies import TrustedProxies

__all__ = [
    "BAD_HANDSHAKE_METHOD",
    "BAD_REQUEST",
    "FORBIDDEN",
    "PEER",
    "PROXIED",
    "SESSION_HEADERS",
    "UNKNOWN_SID",
    "UNKNOWN_TRANSPORT",
    "UNSUPPORTED_VERSION",
    "ClientRequest",
    "Refusal",
    "check_handshake",
    "check_head",
    "check_query",
    "check_session_request",
    "check_transport",
    "head_bytes",
    "open_packet",
    "read_parameters",
    "read_request",
]

PROTOCOL_VERSION = "4"
PEER = "zmqio.peer"
"""Key in `scope["extensions"]` of the address of the connection's peer; None on a unix socket.

`scope["client"]` is often the address that the peer wrote into X-Forwarded-For.
"""
PROXIED = "zmqio.proxied"
"""Key in `scope["extensions"]` of a relayed request.

Its X-Forwarded-Host is there only if the node that the client reached has believed it.
"""
SESSION_HEADERS = frozenset(
    (
        b"accept-encoding",
        b"access-control-request-headers",
        b"content-length",
        b"content-type",
        b"host",
        b"origin",
        b"x-forwarded-host",
        b"x-forwarded-proto",
    )
)
"""Headers that are read in requests of an open session. Browsers send some ten others with each poll."""
NO_PROXIES = TrustedProxies("")
MAX_HEADERS = 100
"""Most headers of a request that opens a session. Clients send about 15."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error response.

    Attributes:
        code: the error number of the protocol.
        message: its fixed text.
        status: the HTTP status.
        details: names and values for people, after the fields that the JavaScript server writes.
    """

    code: int
    message: str
    status: int = 400
    details: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        """The JSON body; it begins with the fields of the JavaScript server."""
        fields = {"code": self.code, "message": self.message, **dict(self.details)}
        return json.dumps(fields, separators=(",", ":")).encode()


UNKNOWN_TRANSPORT = Refusal(0, "Transport unknown")
UNKNOWN_SID = Refusal(1, "Session ID unknown")
BAD_HANDSHAKE_METHOD = Refusal(2, "Bad handshake method")
BAD_REQUEST = Refusal(3, "Bad request")
FORBIDDEN = Refusal(4, "Forbidden", 403)
UNSUPPORTED_VERSION = Refusal(5, "Unsupported protocol version")
TOO_MANY_FIELDS = Refusal(3, f"The query has more than {MAX_QUERY_FIELDS} fields")
JSONP_UNSUPPORTED = Refusal(3, "JSONP is not supported")
SHUTTING_DOWN = Refusal(3, "Server shutting down", 503)


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """One HTTP request, or the opening request of a WebSocket.

    Attributes:
        method: `GET`, `POST`, ...
        path: decoded, without the query.
        query: as sent, without the question mark.
        headers: by lower-case name; values of a repeated header are joined by ", ". Of a polling request for an
            open session, only `SESSION_HEADERS`.
        address: the client's host; "" if the ASGI server does not know it.
        secure: whether the client used TLS, according to the ASGI server or a trusted proxy.
        time: time of arrival, in seconds since 1970.
        http_version: `1.1`, `2`, ...
        proxied: whether a trusted proxy sent it, so that its X-Forwarded-* headers are believed.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    address: str = ""
    secure: bool = False
    time: float = field(default_factory=time.time)
    http_version: str = "1.1"
    proxied: bool = False

    @property
    def parameters(self) -> dict[str, str]:
        """The query as a mapping, empty if it has too many fields; the last value of a repeated name counts."""
        return parse_query(self.query)


def read_parameters(scope: Mapping[str, Any]) -> dict[str, str]:
    """Read the query of an ASGI scope (see `ClientRequest.parameters`)."""
    return parse_query(scope.get("query_string", b"").decode("latin-1"))


def read_request(
    scope: Mapping[str, Any],
    proxies: TrustedProxies = NO_PROXIES,
    only: Collection[bytes] | None = None,
) -> ClientRequest:
    """Read an ASGI `http` or `websocket` scope.

    Args:
        scope: the ASGI scope.
        proxies: whose X-Forwarded-Proto and X-Forwarded-Host are believed.
        only: names, in lower case, of the headers to read; None reads all.
    """
    client = scope.get("client")
    raw = scope["headers"]
    headers = _headers(raw if only is None else [field for field in raw if field[0].lower() in only])
    proxied = _is_proxied(scope, headers, proxies)
    return ClientRequest(
        method=scope.get("method", "GET"),
        path=scope["path"],
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
        address=client[0] if client else "",
        secure=_is_secure(scope, headers, proxied=proxied),
        http_version=scope.get("http_version", "1.1"),
        proxied=proxied,
    )


def check_query(query: str) -> Refusal | None:
    """Check the number of fields in a query."""
    return TOO_MANY_FIELDS if has_too_many_fields(query) else None


def head_bytes(request: ClientRequest) -> int:
    """The size of what a session keeps of its first request."""
    headers = request.headers
    return len(request.path) + len(request.query) + sum(map(len, headers)) + sum(map(len, headers.values()))


def check_head(request: ClientRequest, max_bytes: int) -> Refusal | None:
    """Check the head of a request that opens a session, which keeps it."""
    headers = request.headers
    if len(headers) > MAX_HEADERS:
        return Refusal(BAD_REQUEST.code, f"Request head over {MAX_HEADERS} headers", 431)
    if head_bytes(request) <= max_bytes:
        return None
    return Refusal(BAD_REQUEST.code, f"Request head over {max_bytes} bytes (max_handshake_bytes)", 431)


def check_transport(parameters: Mapping[str, str], transports: Sequence[str]) -> Refusal | None:
    """Check that a request names one of the enabled transports."""
    if parameters.get("transport") not in transports:
        return UNKNOWN_TRANSPORT
    return JSONP_UNSUPPORTED if "j" in parameters else None


def check_handshake(method: str, parameters: Mapping[str, str], *, websocket: bool) -> Refusal | None:
    """Check a request without a session id, which asks for a new session."""
    if method != "GET":
        return BAD_HANDSHAKE_METHOD
    if (parameters["transport"] == "websocket") != websocket:
        return BAD_REQUEST
    return None if parameters.get("EIO") == PROTOCOL_VERSION else UNSUPPORTED_VERSION


def check_session_request(
    parameters: Mapping[str, str], transport_name: str, *, websocket: bool
) -> Refusal | None:
    """Check a request for an open session: its version, and that HTTP is used only while the session polls."""
    if not websocket and parameters["transport"] != transport_name:
        return BAD_REQUEST
    return None if parameters.get("EIO") == PROTOCOL_VERSION else BAD_REQUEST


def open_packet(sid: EngineSid, upgrades: Sequence[str], options: EngineOptions) -> str:
    """Build the packet that opens a session. Times are rounded to milliseconds."""
    times_s = (options.ping_interval_s, options.ping_timeout_s)
    return f'0{{"sid":"{sid}",{_open_fields(tuple(upgrades), times_s, options.max_payload_bytes)}'


@lru_cache(maxsize=16)
def _open_fields(upgrades: tuple[str, ...], times_s: tuple[float, float], max_payload_bytes: int) -> str:
    """The open packet from the field behind the session id: the same for all sessions of a transport."""
    fields = {
        "upgrades": upgrades,
        "pingInterval": round(times_s[0] * 1000),
        "pingTimeout": round(times_s[1] * 1000),
        "maxPayload": max_payload_bytes,
    }
    return json.dumps(fields, separators=(",", ":"))[1:]


def _is_proxied(scope: Mapping[str, Any], headers: Mapping[str, str], proxies: TrustedProxies) -> bool:
    if "x-forwarded-host" not in headers and "x-forwarded-proto" not in headers:
        return False
    extensions = scope.get("extensions") or {}
    if PROXIED in extensions:
        return True
    client = scope.get("client")
    return proxies.trusts(extensions[PEER] if PEER in extensions else client and client[0])


def _is_secure(scope: Mapping[str, Any], headers: Mapping[str, str], *, proxied: bool) -> bool:
    scheme: str = scope.get("scheme", "http")
    if proxied:
        scheme = headers.get("x-forwarded-proto", scheme).rpartition(",")[2].strip().lower()
    return scheme in ("https", "wss")


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    repeated: dict[str, list[str]] = {}
    for name_bytes, value_bytes in raw:
        # Interned: most clients send the same names, and a session keeps them.
        name, value = sys.intern(name_bytes.decode("latin-1").lower()), value_bytes.decode("latin-1")
        if name in headers:
            repeated.setdefault(name, [headers[name]]).append(value)
        else:
            headers[name] = value
    headers.update({name: ", ".join(values) for name, values in repeated.items()})
    return headers
