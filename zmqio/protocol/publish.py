"""Requests from outside services: a msgpack map, or JSON text that starts with `{`.

    {"event": "news", "args": [1, {"a": 2}], "rooms": ["lobby"]}

| field | of | what |
|---|---|---|
| `op` | | `emit` (the default), `join`, `leave` or `disconnect` |
| `namespace` | all | begins with `/`, which is the default |
| `rooms` | all | the sockets in any of these rooms (a session id is a room); left out: the whole namespace |
| `except` | all | but none in any of these rooms |
| `id` | all | a text of 1 to 128 characters; nodes take a second request with the same one for a copy |
| `source`, `n` | all | the sender's name and counter, together: nodes keep such requests in order |
| `event` | emit | its name, required |
| `args` | emit | list of its arguments; binary only in msgpack, because JSON has no form for it |
| `volatile` | emit | clients that cannot take it now do not get it |
| `names` | join, leave | the rooms to put the sockets in, or take them out of; required |
| `close` | disconnect | their whole connections too |

An unknown field is refused rather than ignored, and so is an empty list of rooms: a slip of the pen must not
reach everybody.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from zmqio.exceptions import EnvelopeError, PacketError, ProtocolError, PublishRequestError
from zmqio.protocol.json_text import decode_json
from zmqio.protocol.packet import RESERVED_EVENTS, check_namespace
from zmqio.protocol.topic import check_name
from zmqio.protocol.values import pack_values, unpack_values

__all__ = ["BodyKind", "Operation", "PublishRequest", "classify", "decode_request", "encode_request"]

MAX_ID_LENGTH = 128
MAX_COUNTER = 2**63 - 1


class BodyKind(IntEnum):
    """What the first byte of a body on the bus says that it is."""

    RUBBISH = 0
    ENVELOPE = 1
    REQUEST = 2


class Operation(StrEnum):
    """What a request wants."""

    EMIT = "emit"
    JOIN = "join"
    LEAVE = "leave"
    DISCONNECT = "disconnect"


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """One request. The fields are those of the table above; `()` and None stand for left out."""

    op: Operation = Operation.EMIT
    namespace: str = "/"
    rooms: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()
    event: str | None = None
    args: tuple[Any, ...] = ()
    volatile: bool = False
    names: tuple[str, ...] = ()
    close: bool = False
    id: str | None = None
    source: str | None = None
    n: int | None = None


def classify(body: bytes) -> BodyKind:
    """Tell a message between nodes from a request and from rubbish, by the first byte alone."""
    return _KINDS[body[0]] if body else BodyKind.RUBBISH


def decode_request(body: bytes) -> PublishRequest:
    """Decode a request in either form.

    Raises:
        PublishRequestError: the text names the field, the type of its value, and what it has to be.
    """
    fields = _parse(body)
    if type(fields) is not dict:
        raise PublishRequestError(f"a request has to be a map of fields, not {type(fields).__name__!r}")
    op = _operation(fields.get("op", "emit"))
    for name in fields:
        if name not in _ALLOWED[op]:
            raise PublishRequestError(
                f"field {name!r:.60} is not one of '{op}'; these are: {', '.join(sorted(_ALLOWED[op]))}"
            )
    values: dict[str, Any] = {_attribute(name): _READERS[name](name, value) for name, value in fields.items()}
    return _complete(PublishRequest(**values))


def encode_request(request: PublishRequest) -> bytes:
    """Encode a request as a msgpack map; fields with their default value are left out.

    Raises:
        PublishRequestError: a node would refuse it; the text is that of `decode_request`.
        PacketError: an argument cannot be sent; the text names its type.
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
        raise PublishRequestError("a request has to be a msgpack map, or JSON text that starts with '{'")
    try:
        return decode_json(body.decode()) if body.startswith(b"{") else unpack_values(body)
    except UnicodeDecodeError as error:
        raise PublishRequestError(f"JSON has to be UTF-8: {error.reason}") from error
    except (PacketError, EnvelopeError) as error:
        raise PublishRequestError(f"a request has to be one whole map: {error}") from error


def _complete(request: PublishRequest) -> PublishRequest:
    if request.op is Operation.EMIT and request.event is None:
        raise PublishRequestError("field 'event' is missing: a text, the name of the event to emit")
    if request.op in {Operation.JOIN, Operation.LEAVE} and not request.names:
        raise PublishRequestError(f"field 'names' is missing: the list of rooms to {request.op}")
    if (request.source is None) != (request.n is None):
        raise PublishRequestError("fields 'source' and 'n' go together: give both, or none")
    return request


def _operation(value: Any) -> Operation:
    if type(value) is str and value in _OPERATIONS:
        return _OPERATIONS[value]
    raise _wrong("op", value, f"one of {', '.join(map(repr, _OPERATIONS))}")


def _read_operation(name: str, value: Any) -> Operation:
    return _operation(value)


def _event(name: str, value: Any) -> str:
    if type(value) is not str:
        raise _wrong(name, value, "a text")
    if value in RESERVED_EVENTS:
        raise PublishRequestError(f"field 'event' is {value!r}, a name that Socket.IO keeps for itself")
    return value


def _args(name: str, value: Any) -> tuple[Any, ...]:
    if type(value) is not list:
        raise _wrong(name, value, "a list of arguments")
    return tuple(value)


def _rooms(name: str, value: Any) -> tuple[str, ...]:
    if type(value) is not list or not all(type(room) is str for room in value):
        raise _wrong(name, value, "a list of texts")
    for room in value:
        _check(name, check_name, room)
    return tuple(value)


def _some_rooms(name: str, value: Any) -> tuple[str, ...]:
    rooms = _rooms(name, value)
    if not rooms:
        raise PublishRequestError(f"field {name!r} is an empty list; name a room, or leave the field out")
    return rooms


def _namespace(name: str, value: Any) -> str:
    if type(value) is not str:
        raise _wrong(name, value, "a text that begins with '/'")
    _check(name, check_name, value)
    _check(name, check_namespace, value)
    return value


def _flag(name: str, value: Any) -> bool:
    if type(value) is not bool:
        raise _wrong(name, value, "true or false")
    return value


def _label(name: str, value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= MAX_ID_LENGTH:
        raise _wrong(name, value, f"a text of 1 to {MAX_ID_LENGTH} characters")
    return value


def _counter(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNTER:
        raise _wrong(name, value, "a whole number from 0 to 2**63-1")
    return value


def _check(name: str, check: Callable[[str], None], value: str) -> None:
    try:
        check(value)
    except ProtocolError as error:
        raise PublishRequestError(f"field {name!r}: {error}") from error


def _wrong(name: str, value: Any, expected: str) -> PublishRequestError:
    return PublishRequestError(
        f"field {name!r} has a value of type {type(value).__name__!r}; it has to be {expected}"
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
}
_COMMON = frozenset({"op", "namespace", "rooms", "except", "id", "source", "n"})
_ALLOWED = {
    Operation.EMIT: _COMMON | {"event", "args", "volatile"},
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
    return BodyKind.RUBBISH


_KINDS = tuple(_kind_of(first_byte) for first_byte in range(256))
