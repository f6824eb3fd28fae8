"""The protocol of NATS clients as text and bytes: commands to a server, and what a server sends. Pure.

| to the server | meaning |
|---|---|
| `CONNECT {...}` | options and credentials; the first command |
| `SUB subject sid`, `UNSUB sid` | subscribe under a number, and end that subscription |
| `PUB subject size`, payload | publish |
| `PING`, `PONG` | the server answers a PING after it has handled every command before it; the reverse too |

The server sends `INFO {...}`, `MSG subject sid [reply] size` and a payload, `PING`, `PONG`, `+OK`, `-ERR 'text'`.
`PUB subject reply size` names a subject for replies. If nobody subscribes to `subject`, the server sends an empty
message on `reply` ("no responders"), but only to a client that accepts headers. A message with headers is
`HMSG subject sid [reply] size-of-headers size-of-all`, headers and payload; the headers are ignored here.

Source: https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from zmqio.exceptions import NatsError

__all__ = [
    "MAX_HEADERS",
    "MAX_LINE_BYTES",
    "PING",
    "PONG",
    "NatsEvent",
    "NatsFault",
    "NatsInfo",
    "NatsMessage",
    "NatsParser",
    "NatsSignal",
    "connect_command",
    "publish_command",
    "subscribe_command",
    "unsubscribe_command",
]

CRLF = b"\r\n"
PING = b"PING\r\n"
PONG = b"PONG\r\n"
MESSAGE_NAMES = (b"MSG ", b"HMSG ")
MAX_LINE_BYTES = 1 << 20
"""Longest line from a server. INFO names every server of the cluster; all other lines are short."""

MAX_HEADERS = 1_024
"""Headers of messages that are kept in parsed form: the same subscription often receives messages of one size."""

NatsMessage: TypeAlias = tuple[int, bytes, bytes]
"""Number of the subscription, subject and payload. A tuple: there is one for each message."""


class NatsSignal(enum.Enum):
    """A command without arguments."""

    PING = b"PING"
    PONG = b"PONG"


@dataclass(frozen=True, slots=True)
class NatsFault:
    """An error that the server reports (`-ERR`); after most of them it closes the connection."""

    text: str


@dataclass(frozen=True, slots=True)
class NatsInfo:
    """INFO: a server describes itself, first on every connection and again after each change of its cluster.

    Attributes:
        server_id: unique for each run of a server.
        version: release of the server, as (2, 12, 10); empty if it is unreadable.
        max_payload_bytes: largest payload that the server accepts.
        cluster: name of the cluster; empty for a single server.
        urls: `host:port` of every server of the cluster that clients may connect to; empty if they are not
            advertised.
        nonce: to be signed by the client; empty if the server asks for no signature.
        requires_tls: whether the connection continues with a TLS handshake.
        is_leaving: whether the server is about to stop ("lame duck mode").
        has_headers: whether the server supports headers, and "no responders" with them.
    """

    server_id: str
    version: tuple[int, ...] = ()
    max_payload_bytes: int = 1 << 20
    cluster: str = ""
    urls: tuple[str, ...] = ()
    nonce: str = ""
    requires_tls: bool = False
    is_leaving: bool = False
    has_headers: bool = False


NatsEvent: TypeAlias = NatsMessage | NatsInfo | NatsFault | NatsSignal


def connect_command(options: Mapping[str, Any], *, headers: bool = False) -> bytes:
    """Return CONNECT.

    Args:
        options: the login, and the name of the client.
        headers: accept headers, and with them "no responders"; the server must support them. Otherwise, the server
            delivers messages that have headers without them.
    """
    accepted = {"headers": headers, "no_responders": headers}
    fixed = {"verbose": False, "pedantic": False, "echo": True, "protocol": 1, "lang": "zmqio"}
    return b"CONNECT " + json.dumps({**fixed, **accepted, **options}).encode() + CRLF


def publish_command(subject: bytes, payload: bytes) -> bytes:
    """Return PUB with its payload. After the subject, there may be a space and the subject of replies."""
    return b"PUB %b %d\r\n%b\r\n" % (subject, len(payload), payload)


def subscribe_command(subject: bytes, sid: int) -> bytes:
    """Return SUB."""
    return b"SUB %b %d\r\n" % (subject, sid)


def unsubscribe_command(sid: int) -> bytes:
    """Return UNSUB."""
    return b"UNSUB %d\r\n" % sid


class NatsParser:
    """Splits a server's bytes, in pieces of any size, into events.

    An unfinished message is kept in pieces, which are joined once it is complete.

    Args:
        max_payload_bytes: largest payload of a message; a larger one is an error.
    """

    def __init__(self, max_payload_bytes: int) -> None:
        self._max_payload_bytes = max_payload_bytes
        self._pieces: list[bytes] = []
        self._kept_bytes = 0
        self._needed_bytes = 0
        self._headers: dict[bytes, tuple[int, bytes, int, int]] = {}

    def feed(self, data: bytes) -> Sequence[NatsEvent]:
        """Return the events that `data` completes, in order.

        Raises:
            NatsError: the peer does not speak the protocol; the parser must not be used again.
        """
        if self._pieces:
            self._pieces.append(data)
            self._kept_bytes += len(data)
            if self._kept_bytes < self._needed_bytes:
                return ()
            data = b"".join(self._pieces)
            self._pieces = []
        events: list[NatsEvent] = []
        headers = self._headers
        position, end = 0, len(data)
        while position < end:
            line_end = data.find(CRLF, position)
            if line_end < 0:
                self._keep(data, position, end - position + 1)
                break
            line = data[position:line_end]
            header = headers.get(line)
            if header is None:
                if not line.startswith(MESSAGE_NAMES):
                    self._read_line(line, events)
                    position = line_end + 2
                    continue
                header = self._read_header(line)
            sid, subject, size, skipped = header
            start = line_end + 2
            next_position = start + size + 2
            if next_position > end:
                self._keep(data, position, next_position - position)
                break
            if data[next_position - 2 : next_position] != CRLF:
                raise NatsError(f"a payload of {size} bytes is not followed by a line end")
            events.append((sid, subject, data[start + skipped : next_position - 2]))
            position = next_position
        return events

    def _keep(self, data: bytes, position: int, needed_bytes: int) -> None:
        rest = data[position:]
        if not rest.startswith(MESSAGE_NAMES) and len(rest) > MAX_LINE_BYTES:
            raise NatsError(f"a line has more than {MAX_LINE_BYTES} bytes: {rest[:40]!r}")
        self._pieces = [rest]
        self._kept_bytes = len(rest)
        self._needed_bytes = needed_bytes

    def _read_header(self, line: bytes) -> tuple[int, bytes, int, int]:
        """Return number and subject, the size of headers and payload, and that of the headers."""
        name, *fields = line.split()
        try:
            skipped = int(fields.pop(-2)) if name == b"HMSG" else 0
            sid, size = int(fields[1]), int(fields[-1])
        except (IndexError, ValueError):
            raise NatsError(f"the header of a message is malformed: {line[:80]!r}") from None
        if not 3 <= len(fields) <= 4 or not 0 <= skipped <= size <= self._max_payload_bytes:
            raise NatsError(
                f"the header of a message is malformed, or its payload is over {self._max_payload_bytes} bytes: "
                f"{line[:80]!r}"
            )
        if len(self._headers) >= MAX_HEADERS:
            self._headers.clear()
        header = self._headers[line] = (sid, fields[0], size, skipped)
        return header

    def _read_line(self, line: bytes, events: list[NatsEvent]) -> None:
        name, _, rest = line.partition(b" ")
        name = name.upper()
        if name in (b"PING", b"PONG"):
            events.append(NatsSignal(name))
        elif name == b"INFO":
            events.append(_read_info(rest))
        elif name == b"-ERR":
            events.append(NatsFault(rest.decode(errors="replace").strip().strip("'")))
        elif name != b"+OK":
            raise NatsError(f"the peer does not speak NATS; it sent {line[:40]!r}")


def _read_info(text: bytes) -> NatsInfo:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NatsError(f"INFO is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise NatsError("INFO is not a JSON object")
    return NatsInfo(
        server_id=_text(fields, "server_id"),
        version=_version(_text(fields, "version")),
        max_payload_bytes=_number(fields, "max_payload", 1 << 20),
        cluster=_text(fields, "cluster"),
        urls=_texts(fields, "connect_urls"),
        nonce=_text(fields, "nonce"),
        requires_tls=fields.get("tls_required") is True,
        is_leaving=fields.get("ldm") is True,
        has_headers=fields.get("headers") is True,
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _texts(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = fields.get(name)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _number(fields: Mapping[str, Any], name: str, default: int) -> int:
    value = fields.get(name)
    return value if type(value) is int and value > 0 else default


def _version(text: str) -> tuple[int, ...]:
    parts = text.partition("-")[0].split(".")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else ()
