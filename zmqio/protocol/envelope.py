"""Wire format of messages between nodes: a msgpack array `[version, type, node_id, n, previous, ...]`.

The fields of the message follow, in the order of its dataclass in `zmqio.protocol.messages`. Encoding checks the
same rules as decoding, so a node cannot send a message that other nodes would refuse. Additional fields at the end
are ignored, so a later release may add fields without a new version.
"""

from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from math import isfinite
from operator import attrgetter, call
from reprlib import repr as short_repr
from typing import Any, TypeVar

import msgpack

from zmqio.exceptions import EnvelopeError, VersionError
from zmqio.protocol import messages as m
from zmqio.protocol import recovery_messages as v
from zmqio.protocol import relay_messages as r
from zmqio.protocol.messages import Envelope, Message, MessageId, MessageType
from zmqio.protocol.msgpack_input import unpack
from zmqio.protocol.packet import AckableFrames, Frames

__all__ = ["WIRE_VERSION", "decode", "encode", "peek_message_id"]

WIRE_VERSION = 1
"""The wire version of this release; a node supports exactly one."""

MAX_NODE_ID_LENGTH = 64
MAX_COUNTER = 2**63 - 1
MAX_TRACEPARENT_LENGTH = 128
"""Version 00 has 55 characters; later versions may have more."""
_HEADER_END = 5
SMALL_CHARACTERS = 16_384
_packer = msgpack.Packer()


def encode(envelope: Envelope) -> bytes:
    """Encode a message for the bus.

    Raises:
        EnvelopeError: other nodes would refuse the value of a field; the text names the field.
    """
    message_id, message = envelope
    layout = _LAYOUT_OF[type(message)]
    values = layout.values(message)
    _check_message_id(*message_id)
    is_plain = layout is _BROADCAST and _is_text_broadcast(*values)
    if not is_plain:
        _read_fields(layout, values)
    row = (WIRE_VERSION, layout.number, message_id.node_id, message_id.n, message_id.previous, *values)
    try:
        packed: bytes = _pack_plain(row) if is_plain else msgpack.packb(row, default=_ackable_parts)
    except UnicodeEncodeError as error:
        raise EnvelopeError(f"{layout.name}: a name cannot be encoded as UTF-8 (lone surrogate)") from error
    return packed


def decode(body: bytes) -> Envelope:
    """Decode a message from the bus.

    Raises:
        VersionError: the message has another wire version.
        EnvelopeError: the message is malformed; the text names the field, never its value.
    """
    try:
        values = unpack(body)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise EnvelopeError(f"the body is not msgpack: {error}") from error
    layout = _read_layout(values)
    if layout is _BROADCAST and len(values) == _BROADCAST_END:
        _, _, node_id, n, previous, namespace, rooms, except_, volatile, frames = values
        if _is_text_broadcast(namespace, rooms, except_, volatile, frames):
            _check_message_id(node_id, n, previous)
            message = m.BroadcastMessage(namespace, tuple(rooms), tuple(except_), volatile, tuple(frames))
            return Envelope(MessageId(node_id, n, previous), message)
    if len(values) > _HEADER_END + len(layout.names):
        layout = _layout_with_trace(layout, values)
    message_id = MessageId(*values[2:_HEADER_END])
    _check_message_id(*message_id)
    return Envelope(message_id, layout.make(*_read_fields(layout, values[_HEADER_END:])))


def peek_message_id(body: bytes) -> tuple[bytes, int] | None:
    """Read the sender and the sequence number of a message without decoding it, at a tenth of the cost.

    Returns:
        (node id as UTF-8, n); None if the body is not a message of this version, or is packed unusually.
    """
    # Array header (one byte, or three), version, type, a text of at most 31 bytes, an unsigned integer.
    try:
        at = 1 if body[0] & 0xF0 == 0x90 else 3
        if body[at] != WIRE_VERSION or body[at + 2] & 0xE0 != 0xA0:
            return None
        start = at + 3
        end = start + (body[at + 2] & 0x1F)
        size = _UINT_BYTES.get(body[end], 0)
        if not size:
            return (body[start:end], body[end]) if body[end] < 0x80 else None
        if len(body) < end + 1 + size:
            return None
        return body[start:end], int.from_bytes(body[end + 1 : end + 1 + size], "big")
    except IndexError:
        return None


_UINT_BYTES = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}


def _pack_plain(row: tuple[Any, ...]) -> bytes:
    """Pack a broadcast with one text frame. A small one is packed by one packer, whose buffer stays small."""
    packed: bytes = _packer.pack(row) if len(row[-1][0]) <= SMALL_CHARACTERS else msgpack.packb(row)
    return packed


class _FieldError(Exception):
    """Holds the expected type; the code that catches it knows the name of the field."""


_Row = TypeVar("_Row", m.ReplayedRow, m.LostRow, m.TopicRow)

Reader = Callable[[Any], Any]
"""Checks one field and returns its value; raises _FieldError."""


@dataclass(frozen=True, slots=True)
class _Layout:
    name: str
    number: int
    make: Callable[..., Message]
    names: tuple[str, ...]
    required: int
    readers: tuple[Reader, ...]
    values: Callable[[Message], tuple[Any, ...]]


def _read_layout(values: Any) -> _Layout:
    if type(values) is not list or len(values) < _HEADER_END or type(values[0]) is not int:
        raise EnvelopeError("the body is not an array that begins with a version, a type and a message id")
    if values[0] != WIRE_VERSION:
        raise VersionError(values[0], WIRE_VERSION)
    layout = _LAYOUTS.get(values[1]) if type(values[1]) is int else None
    if layout is None:
        raise EnvelopeError(f"message type {short_repr(values[1]):.20} is unknown to this release")
    return layout


def _layout_with_trace(layout: _Layout, values: list[Any]) -> _Layout:
    """Return the layout that has the additional field `traceparent`, if the message has it."""
    traced = _TRACED.get(layout.number)
    return layout if traced is None or not _is_traceparent(values[_HEADER_END + len(layout.names)]) else traced


def _is_traceparent(value: Any) -> bool:
    return type(value) is str and len(value) <= MAX_TRACEPARENT_LENGTH and "\0" not in value


def _check_message_id(node_id: Any, n: Any, previous: Any) -> None:
    if type(node_id) is not str or not 0 < len(node_id) <= MAX_NODE_ID_LENGTH or "\0" in node_id:
        raise EnvelopeError(f"node_id must be a string of 1 to {MAX_NODE_ID_LENGTH} characters without NUL")
    if type(n) is not int or not 0 <= n <= MAX_COUNTER:
        raise EnvelopeError("n must be an integer from 0 to 2**63-1")
    if previous is not None and (type(previous) is not int or not 0 <= previous <= MAX_COUNTER):
        raise EnvelopeError("previous must be an integer from 0 to 2**63-1, or nil")


def _is_text_broadcast(namespace: Any, rooms: Any, except_: Any, volatile: Any, frames: Any) -> bool:
    """Return whether these are valid fields of a broadcast with one text frame, as nearly all broadcasts are.

    One call in place of the five readers of a broadcast. Other broadcasts pass through the readers, which name the
    invalid field.
    """
    if (
        type(namespace) is not str
        or type(rooms) not in _LISTS
        or type(except_) not in _LISTS
        or type(volatile) is not bool
        or type(frames) not in _LISTS
        or len(frames) != 1
        or type(frames[0]) is not str
    ):
        return False
    try:
        # One join checks the type of every name, and the result for a NUL.
        return "\0" not in "".join((namespace, *rooms, *except_))
    except TypeError:
        return False


def _read_fields(layout: _Layout, values: Sequence[Any]) -> list[Any]:
    if len(values) < layout.required:
        raise EnvelopeError(f"{layout.name} has {len(values)} fields; {layout.required} are required")
    try:
        return list(map(call, layout.readers, values))
    except _FieldError as error:
        raise EnvelopeError(f"{layout.name}.{_first_wrong(layout, values)} must be {error}") from error


def _first_wrong(layout: _Layout, values: Sequence[Any]) -> str:
    for name, read, value in zip(layout.names, layout.readers, values, strict=False):
        try:
            read(value)
        except _FieldError:
            return name
    raise AssertionError("no field is wrong")


def _counter(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNTER:
        raise _FieldError("an integer from 0 to 2**63-1")
    return value


def _counter_or_none(value: Any) -> int | None:
    return None if value is None else _counter(value)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise _FieldError("true or false")
    return value


def _seconds(value: Any) -> float:
    # Packers of other languages may write 5.0 as the integer 5.
    if type(value) not in _NUMBERS or not isfinite(value) or value < 0:
        raise _FieldError("a non-negative number of seconds")
    return float(value)


def _text(value: Any) -> str:
    if type(value) is not str or "\0" in value:
        raise _FieldError("a string without NUL")
    return value


def _traceparent(value: Any) -> str:
    if not _is_traceparent(value):
        raise _FieldError(f"a string of at most {MAX_TRACEPARENT_LENGTH} characters")
    return str(value)


def _names(value: Any) -> tuple[str, ...]:
    if type(value) in _LISTS:
        try:
            # One join checks the type of every item, and the result for a NUL.
            if not value or "\0" not in "".join(value):
                return tuple(value)
        except TypeError:
            pass
    raise _FieldError("a list of strings without NUL")


def _raw(value: Any) -> bytes:
    if type(value) is not bytes:
        raise _FieldError("binary")
    return value


def _frames(value: Any) -> Frames:
    is_list = type(value) in _LISTS and len(value) > 0
    if is_list and type(value[0]) in _TEXT_OR_BYTES and (len(value) == 1 or _all_bytes(value[1:])):
        return tuple(value)
    raise _FieldError("a list of one string or binary value, then binary values only")


def _mixed(value: Any) -> tuple[str | bytes, ...]:
    if type(value) in _LISTS and set(map(type, value)) <= _TEXT_OR_BYTES:
        return tuple(value)
    raise _FieldError("a list of strings and binary values")


def _pairs(value: Any) -> tuple[str, ...]:
    names = _names(value)
    if len(names) % 2:
        raise _FieldError("a list of alternating names and values")
    return names


def _ackable(value: Any) -> AckableFrames:
    head, tail, attachments = _ackable_parts(value)
    if type(head) in _TEXT_OR_BYTES and type(tail) is type(head) and _all_bytes(attachments):
        return AckableFrames(head, tail, tuple(attachments))
    raise _FieldError(_ACKABLE)


def _ackable_parts(value: Any) -> tuple[Any, Any, Any]:
    """Return head, tail and attachments of an `AckableFrames`, or of the list that it is encoded as."""
    if type(value) is AckableFrames:
        return value.head, value.tail, value.attachments
    if type(value) is list and len(value) == 3 and type(value[2]) is list:
        return value[0], value[1], value[2]
    raise _FieldError(_ACKABLE)


def _replayed(value: Any) -> tuple[m.ReplayedRow, ...]:
    rows = _rows(value, m.ReplayedRow)
    if all(type(row.topic) is bytes and type(row.body) is bytes for row in rows):
        return rows
    raise _FieldError("a list of [topic, body, seconds]")


def _lost(value: Any) -> tuple[m.LostRow, ...]:
    rows = _rows(value, m.LostRow)
    if all(type(row.topic) is bytes and type(row.numbers) in _LISTS for row in rows):
        return tuple(row._replace(numbers=tuple(map(_counter, row.numbers))) for row in rows)
    raise _FieldError("a list of [topic, numbers, seconds]")


def _newest(value: Any) -> tuple[m.TopicRow, ...]:
    rows = _rows(value, m.TopicRow)
    if all(type(row.topic) is bytes for row in rows):
        return tuple(row._replace(n=_counter(row.n)) for row in rows)
    raise _FieldError("a list of [topic, number, seconds]")


def _rows(value: Any, make: type[_Row]) -> tuple[_Row, ...]:
    """Read rows of three values, the last of which is an age in seconds."""
    if type(value) not in _LISTS or not all(type(row) in (list, make) and len(row) == 3 for row in value):
        raise _FieldError("a list of rows of three values")
    for row in value:
        _seconds(row[2])
    return tuple(make(*row) for row in value)


def _all_bytes(values: Sequence[Any]) -> bool:
    return set(map(type, values)) <= _BYTES


_ACKABLE = "a list of head, tail (both strings or both binary) and a list of binary values"
_LISTS = frozenset({list, tuple})
_NUMBERS = frozenset({int, float})
_TEXT_OR_BYTES = frozenset({str, bytes})
_BYTES = frozenset({bytes})


def _layout(number: MessageType, make: type[Message], *readers: Reader) -> _Layout:
    names = tuple(field.name for field in fields(make))
    if len(names) != len(readers):
        raise TypeError(f"{make.__name__} has {len(names)} fields, not {len(readers)}")
    required = sum(field.default is MISSING for field in fields(make))
    return _Layout(make.__name__, int(number), make, names, required, readers, _getter(names))


def _getter(names: tuple[str, ...]) -> Callable[[Message], tuple[Any, ...]]:
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda message: (get(message),)


_TARGET = (_text, _names, _names)  # namespace, rooms, except_
_HEAD = (_text, _pairs, _text, _flag)  # query, headers, address, secure
_LAYOUTS = {
    layout.number: layout
    for layout in (
        _layout(
            MessageType.HEARTBEAT,
            m.Heartbeat,
            _flag,
            _seconds,
            _flag,
            _text,
            _counter,
            _counter,
            _text,
            _text,
            _flag,
        ),
        _layout(MessageType.GOODBYE, m.Goodbye, _text),
        _layout(MessageType.BROADCAST, m.BroadcastMessage, *_TARGET, _flag, _frames),
        _layout(MessageType.ACKED_BROADCAST, m.AckedBroadcast, _counter, *_TARGET, _seconds, _ackable),
        _layout(MessageType.JOIN_ROOMS, m.JoinRooms, *_TARGET, _names),
        _layout(MessageType.LEAVE_ROOMS, m.LeaveRooms, *_TARGET, _names),
        _layout(MessageType.DISCONNECT_SOCKETS, m.DisconnectSockets, *_TARGET, _flag),
        _layout(MessageType.SERVER_SIDE_EMIT, m.ServerSideEmit, _text, _raw, _counter_or_none),
        _layout(MessageType.FETCH_SOCKETS, m.FetchSockets, _counter, *_TARGET),
        _layout(MessageType.FETCH_ROOMS, m.FetchRooms, _counter, _text),
        _layout(MessageType.FETCH_METRICS, m.FetchMetrics, _counter),
        _layout(MessageType.RESPONSE, m.Response, _counter, _raw, _flag),
        _layout(MessageType.ACK_COUNT, m.AckCount, _counter, _counter),
        _layout(MessageType.ACK_RESPONSE, m.AckResponse, _counter, _raw),
        _layout(MessageType.REPLAY_REQUEST, m.ReplayRequest, _counter, _counter, _seconds, _raw, _flag),
        _layout(
            MessageType.REPLAY_ANSWER,
            m.ReplayAnswer,
            _counter,
            _counter,
            _flag,
            _counter,
            _lost,
            _replayed,
            _newest,
        ),
        _layout(MessageType.SESSION_REQUEST, v.SessionRequest, _counter, _raw),
        _layout(MessageType.MISSED_PACKETS_REQUEST, v.MissedPacketsRequest, _counter, _raw),
        _layout(MessageType.SESSION_HANDOVER, v.SessionHandover, _raw),
        _layout(MessageType.SESSION_COPIES, v.SessionCopies, _flag, _names, _raw),
        _layout(MessageType.HTTP_REQUEST, r.HttpRequest, _counter, _text, *_HEAD, _raw, _flag),
        _layout(MessageType.HTTP_RESPONSE, r.HttpResponse, _counter, _counter, _pairs, _raw),
        _layout(MessageType.HTTP_CANCEL, r.HttpCancel, _counter, _flag),
        _layout(MessageType.HTTP_DELIVERED, r.HttpDelivered, _counter),
        _layout(MessageType.STREAM_OPEN, r.StreamOpen, _counter, *_HEAD, _counter),
        _layout(MessageType.STREAM_ACCEPT, r.StreamAccept, _counter, _counter),
        _layout(MessageType.STREAM_REFUSE, r.StreamRefuse, _counter, _counter, _raw),
        _layout(MessageType.STREAM_DATA, r.StreamData, _counter, _flag, _counter, _mixed),
        _layout(MessageType.STREAM_CREDIT, r.StreamCredit, _counter, _flag, _counter),
        _layout(MessageType.STREAM_CLOSE, r.StreamClose, _counter, _flag, _counter, _text),
    )
}
_TRACED = {
    layout.number: layout
    for layout in (
        _layout(MessageType.BROADCAST, m.TracedBroadcast, *_TARGET, _flag, _frames, _traceparent),
        _layout(MessageType.SERVER_SIDE_EMIT, m.TracedServerSideEmit, _text, _raw, _counter_or_none, _traceparent),
    )
}
"""The same with a trace; see `TracedBroadcast`."""
_BROADCAST = _LAYOUTS[MessageType.BROADCAST]
_BROADCAST_END = _HEADER_END + len(_BROADCAST.names)
_LAYOUT_OF = {layout.make: layout for layout in (*_LAYOUTS.values(), *_TRACED.values())}
