"""Publish requests of external services: a msgpack map, or JSON text that starts with `{`.

    {"event": "news", "args": [1, {"a": 2}], "rooms": ["lobby"]}

| field | operations | meaning |
|---|---|---|
| `op` | | `emit` (default), `join`, `leave` or `disconnect` |
| `namespace` | all | begins with `/`; default `/` |
| `rooms` | all | members of any of these rooms (a session id is a room); default: the whole namespace |
| `except` | all | members of any of these rooms are left out |
| `id` | all | a string of 1 to 128 characters; nodes drop later requests with the same id as duplicates |
| `source`, `n` | all | the sender's name and counter, given together; they identify a request without an `id` |
| `event` | emit | the name of the event; required |
| `args` | emit | list of arguments; binary values in msgpack only, because JSON has no form for them |
| `traceparent` | emit | the context of a trace, as in the HTTP header of that name (W3C Trace Context) |
| `volatile` | emit | drop the event for clients that cannot receive it at once |
| `names` | join, leave | the rooms to join or leave; required |
| `close` | disconnect | close the connections as well |

Nodes apply requests in the order in which a broker passes them on. Sent to several brokers, a request that one of
them did not accept may arrive after later ones.

An unknown field is refused rather than ignored, and so is an empty list of rooms, so that a typing error does not
reach every client.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from hashlib import blake2b
from typing import Any

from zmqio.exceptions import EnvelopeError, PacketError, ProtocolError, PublishRequestError
from zmqio.protocol.json_text import decode_json
from zmqio.protocol.packet import RESERVED_EVENTS, check_namespace
from zmqio.protocol.topic import check_name
from zmqio.protocol.value_limits import check_packed
from zmqio.protocol.values import pack_values, unpack_values

__all__ = ["BodyKind", "Operation", "PublishRequest", "classify", "decode_request", "encode_request", "origin_of"]

MAX_ID_LENGTH = 128
MAX_COUNTER = 2**63 - 1


class BodyKind(IntEnum):
    """The kind of a body on the bus, as its first byte shows."""

    MALFORMED = 0
    ENVELOPE = 1
    REQUEST = 2


class Operation(StrEnum):
    """The operation of a request."""

    EMIT = "emit"
    JOIN = "join"
    LEAVE = "leave"
    DISCONNECT = "disconnect"


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """One request, with the fields of the table above; `()` and None stand for absent fields.

    Empty `rooms` select no socket. An emitter accepts such a request and sends nothing; on the wire there is none.
    """

    op: Operation = Operation.EMIT
    namespace: str = "/"
    rooms: tuple[str, ...] | None = None
    except_: tuple[str, ...] = ()
    event: str | None = None
    args: tuple[Any, ...] = ()
    volatile: bool = False
    names: tuple[str, ...] = ()
    close: bool = False
    id: str | None = None
    source: str | None = None
    n: int | None = None
    traceparent: str | None = None


def origin_of(request: PublishRequest) -> str:
    """A text that each copy of a request has. Other requests differ, unless they are equal and have no id."""
    if request.id is not None:
        return f"i{request.id}"
    if request.source is not None:
        return f"s{request.source}\0{request.n}"
    return "v" + blake2b(repr((request.event, request.args)).encode(errors="replace"), digest_size=16).hexdigest()


def classify(body: bytes) -> BodyKind:
    """Return the kind of a body on the bus, by its first byte alone."""
    return _KINDS[body[0]] if body else BodyKind.MALFORMED


def decode_request(body: bytes) -> PublishRequest:
    """Decode a request in either form.

    Raises:
        PublishRequestError: the request is malformed; the text names the field, its type and the expected type.
    """
    fields = _parse(body)
    if type(fields) is not dict:
        raise PublishRequestError(f"a request must be a map of fields, not {type(fields).__name__!r}")
    op = _operation(fields.get("op", "emit"))
    for name in fields:
        if name not in _ALLOWED[op]:
            raise PublishRequestError(
                f"field {name!r:.60} is unknown for '{op}'; known fields: {', '.join(sorted(_ALLOWED[op]))}"
            )
    values: dict[str, Any] = {_attribute(name): _READERS[name](name, value) for name, value in fields.items()}
    return _complete(PublishRequest(**values))


def encode_request(request: PublishRequest) -> bytes:
    """Encode a request as a msgpack map, without the fields that have their default value.

    Raises:
        PublishRequestError: a node would refuse the request, with the same text as `decode_request`.
        PacketError: an argument cannot be encoded; the text names its type.
    """
    given = ((name, getattr(request, _attribute(name))) for name in _READERS)
    fields = {name: value for name, value in given if value != getattr(_DEFAULTS, _attribute(name))}
    body = pack_values(fields)
    decode_request(body)
    return body


_DEFAULTS = PublishRequest()
_OPERATIONS = {operation.value: operation for operation in Operation}


def _attribute(name: str) -> str:
    return "except_" if name == "except" else name


def _parse(body: bytes) -> Any:
    if not body or _KINDS[body[0]] is not BodyKind.REQUEST:
        raise PublishRequestError("a request must be a msgpack map, or JSON text that starts with '{'")
    try:
        if body.startswith(b"{"):
            return decode_json(body.decode())
        fields = unpack_values(body)
        check_packed(body, fields)
    except UnicodeDecodeError as error:
        raise PublishRequestError(f"JSON must be UTF-8: {error.reason}") from error
    except (PacketError, EnvelopeError) as error:
        raise PublishRequestError(f"a request must be one complete map: {error}") from error
    return fields


def _complete(request: PublishRequest) -> PublishRequest:
    if request.op is Operation.EMIT and request.event is None:
        raise PublishRequestError("field 'event' is missing: name the event to emit")
    if request.op in {Operation.JOIN, Operation.LEAVE} and not request.names:
        raise PublishRequestError(f"field 'names' is missing: list the rooms to {request.op}")
    if (request.source is None) != (request.n is None):
        raise PublishRequestError("fields 'source' and 'n' belong together: give both or neither")
    return request


def _operation(value: Any) -> Operation:
    if type(value) is str and value in _OPERATIONS:
        return _OPERATIONS[value]
    raise _wrong("op", value, f"one of {', '.join(map(repr, _OPERATIONS))}")


def _read_operation(name: str, value: Any) -> Operation:
    return _operation(value)


def _event(name: str, value: Any) -> str:
    if type(value) is not str:
        raise _wrong(name, value, "a string")
    if value in RESERVED_EVENTS:
        raise PublishRequestError(f"field 'event' is {value!r}, which is reserved by Socket.IO")
    return value


def _args(name: str, value: Any) -> tuple[Any, ...]:
    if type(value) is not list:
        raise _wrong(name, value, "a list of arguments")
    return tuple(value)


def _rooms(name: str, value: Any) -> tuple[str, ...]:
    if type(value) is not list or not all(type(room) is str for room in value):
        raise _wrong(name, value, "a list of strings")
    for room in value:
        _check(name, check_name, room)
    return tuple(value)


def _some_rooms(name: str, value: Any) -> tuple[str, ...]:
    rooms = _rooms(name, value)
    if not rooms:
        raise PublishRequestError(f"field {name!r} is an empty list; name a room or omit the field")
    return rooms


def _namespace(name: str, value: Any) -> str:
    if type(value) is not str:
        raise _wrong(name, value, "a string that begins with '/'")
    _check(name, check_name, value)
    _check(name, check_namespace, value)
    return value


def _flag(name: str, value: Any) -> bool:
    if type(value) is not bool:
        raise _wrong(name, value, "true or false")
    return value


def _label(name: str, value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= MAX_ID_LENGTH:
        raise _wrong(name, value, f"a string of 1 to {MAX_ID_LENGTH} characters")
    return value


def _counter(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNTER:
        raise _wrong(name, value, "an integer from 0 to 2**63-1")
    return value


def _check(name: str, check: Callable[[str], None], value: str) -> None:
    try:
        check(value)
    except ProtocolError as error:
        raise PublishRequestError(f"field {name!r}: {error}") from error


def _wrong(name: str, value: Any, expected: str) -> PublishRequestError:
    return PublishRequestError(
        f"field {name!r} has a value of type {type(value).__name__!r}; it must be {expected}"
    )


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "op": _read_operation,
    "event": _event,
    "args": _args,
    "rooms": _some_rooms,
    "except": _rooms,
    "namespace": _namespace,
    "volatile": _flag,
    "names": _some_rooms,
    "close": _flag,
    "id": _label,
    "source": _label,
    "n": _counter,
    "traceparent": _label,
}
_COMMON = frozenset({"op", "namespace", "rooms", "except", "id", "source", "n"})
_ALLOWED = {
    Operation.EMIT: _COMMON | {"event", "args", "volatile", "traceparent"},
    Operation.JOIN: _COMMON | {"names"},
    Operation.LEAVE: _COMMON | {"names"},
    Operation.DISCONNECT: _COMMON | {"close"},
}


def _kind_of(first_byte: int) -> BodyKind:
    # Source: msgpack spec, "Overview" of formats. 0x7b, a JSON '{', would be the msgpack integer 123.
    if 0x90 <= first_byte <= 0x9F or first_byte in {0xDC, 0xDD}:
        return BodyKind.ENVELOPE
    if 0x80 <= first_byte <= 0x8F or first_byte in {0xDE, 0xDF, ord("{")}:
        return BodyKind.REQUEST
    return BodyKind.MALFORMED


_KINDS = tuple(_kind_of(first_byte) for first_byte in range(256))
