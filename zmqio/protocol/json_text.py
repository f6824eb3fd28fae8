"""JSON text of Socket.IO packets: placeholders stand for binary values, and both directions are strict.

Strict means the JSON that JavaScript's `JSON.parse` accepts: no NaN, no Infinity. The encoded text is always valid
UTF-8.

Source: https://github.com/socketio/socket.io-protocol, "Packet encoding"; RFC 8259.
"""

from collections.abc import Callable
from json import JSONDecoder, JSONEncoder, encoder
from typing import Any, NoReturn

from zmqio.exceptions import PacketError
from zmqio.protocol.value_limits import (
    MAX_DEPTH,
    MAX_INT_DIGITS,
    check_depth,
    check_text_depth,
    check_value,
    finite_float,
    finite_int,
    has_long_number,
    may_be_deep,
)

__all__ = ["decode_json", "encode_json", "fill_placeholders"]


class _BinaryFoundError(Exception):
    """The value contains binary, so it needs the encoder that collects attachments."""


def encode_json(value: Any) -> tuple[str, tuple[bytes, ...]]:
    """Encode a value in one pass; each binary value becomes `{"_placeholder":true,"num":n}`.

    Tuples are encoded as lists, keys as `json.dumps` encodes them. A text with a lone surrogate, which UTF-8
    cannot encode, is written in ASCII with escapes.

    Returns:
        The text, and the binary values in the order of their numbers.

    Raises:
        PacketError: a value has no JSON form (the text names its type), is NaN or Infinity, is nested too deeply,
            or contains itself.
    """
    try:
        text, attachments = _encode_plain(value), ()
    except _BinaryFoundError:
        return _encode_with_binary(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise _encoding_error(error) from error
    if len(text) > MAX_DEPTH:
        _check_sendable(text, value)
    return (text, attachments) if text.isascii() or _is_utf8(text) else (_PLAIN_ASCII.encode(value), attachments)


def decode_json(text: str, start: int = 0) -> Any:
    """Decode the JSON value that begins exactly at `start`; only white space may follow it.

    Raises:
        PacketError: the text is not one JSON value, or breaks the rule of `value_limits` (depth, size of numbers).
    """
    deep = len(text) > MAX_DEPTH and may_be_deep(text)
    if deep:
        check_text_depth(text)
    decoder = _CAREFUL_DECODER if len(text) >= MAX_INT_DIGITS and has_long_number(text) else _DECODER
    try:
        value, end = decoder.raw_decode(text, start)
    except PacketError:
        raise
    except (ValueError, RecursionError) as error:
        raise PacketError(f"the payload is not JSON: {error}") from error
    if end != len(text) and text[end:].strip(" \t\r\n"):
        raise PacketError(f"the payload is not JSON: unexpected text at character {end}")
    if deep:
        check_depth(value)
    return value


def fill_placeholders(data: Any, attachments: list[bytes]) -> None:
    """Replace the placeholders anywhere inside a list with their attachments.

    Raises:
        PacketError: a placeholder has no number, or there is no attachment with its number.
    """
    containers = [data]
    while containers:
        container = containers.pop()
        for key, value in container.items() if type(container) is dict else enumerate(container):
            if type(value) is dict and value.get("_placeholder") is True:
                container[key] = _attachment(value.get("num"), attachments)
            elif type(value) in {dict, list}:
                containers.append(value)


def _attachment(number: Any, attachments: list[bytes]) -> bytes:
    if type(number) is int and 0 <= number < len(attachments):
        return attachments[number]
    raise PacketError(f"placeholder {number!r:.40} matches none of the {len(attachments)} attachments")


def _encode_with_binary(value: Any) -> tuple[str, tuple[bytes, ...]]:
    text, attachments = _collect(value, ensure_ascii=False)
    return (text, attachments) if _is_utf8(text) else _collect(value, ensure_ascii=True)


def _collect(value: Any, *, ensure_ascii: bool) -> tuple[str, tuple[bytes, ...]]:
    attachments: list[bytes] = []

    def pull_out(item: Any) -> dict[str, Any]:
        if not isinstance(item, bytes | bytearray | memoryview):
            _refuse(item)
        attachments.append(bytes(item))
        return {"_placeholder": True, "num": len(attachments) - 1}

    try:
        text = _encoder(pull_out, ensure_ascii=ensure_ascii).encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise _encoding_error(error) from error
    if len(text) > MAX_DEPTH:
        _check_sendable(text, value)
    return text, tuple(attachments)


def _check_sendable(text: str, value: Any) -> None:
    if may_be_deep(text):
        check_depth(value)
    if len(text) >= MAX_INT_DIGITS and has_long_number(text):
        check_value(value, keys=False)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _encoder(default: Callable[[Any], Any], *, ensure_ascii: bool) -> JSONEncoder:
    # A value that contains itself raises RecursionError anyway, so the slower check is off.
    return JSONEncoder(
        separators=(",", ":"),
        ensure_ascii=ensure_ascii,
        allow_nan=False,
        check_circular=False,
        default=default,
    )


def _fast_encode(slow: JSONEncoder) -> Callable[[Any], str]:
    """Return a function equal to `slow.encode` that takes a fifth of its time for a small value.

    `JSONEncoder.encode` makes an encoder in C for each value; this one is made once. The function is
    `slow.encode` itself if the interpreter has no such encoder.
    """
    make = getattr(encoder, "c_make_encoder", None)
    try:
        options = (None, ":", ",", slow.sort_keys, slow.skipkeys, slow.allow_nan)
        to_chunks = make(None, slow.default, encoder.encode_basestring, *options)  # type: ignore[misc]
        if "".join(to_chunks(_SAMPLE, 0)) == slow.encode(_SAMPLE):
            return lambda value: "".join(to_chunks(value, 0))
    except (AttributeError, TypeError):
        pass
    return slow.encode


def _refuse(item: Any) -> NoReturn:
    raise PacketError(
        f"a value of type {type(item).__name__!r} cannot be sent; "
        "send None, bool, int, float, str, bytes, list, tuple or dict"
    )


def _refuse_or_note_binary(item: Any) -> NoReturn:
    if isinstance(item, bytes | bytearray | memoryview):
        raise _BinaryFoundError
    _refuse(item)


def _encoding_error(error: Exception) -> PacketError:
    if isinstance(error, PacketError):
        return error
    if isinstance(error, RecursionError):
        return PacketError("a value is nested too deeply, or contains itself")
    if "Out of range float" in str(error):
        return PacketError("NaN and Infinity have no JSON form; send None or a string")
    return PacketError(f"a value cannot be sent: {error}")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_SAMPLE = ["\u00e9\n", 1, 2.5, True, None, {"a": [], "b": {}}]
_encode_plain = _fast_encode(_encoder(_refuse_or_note_binary, ensure_ascii=False))
_PLAIN_ASCII = _encoder(_refuse, ensure_ascii=True)
_DECODER = JSONDecoder(parse_constant=_refuse_constant, parse_float=finite_float)
_CAREFUL_DECODER = JSONDecoder(parse_constant=_refuse_constant, parse_float=finite_float, parse_int=finite_int)
