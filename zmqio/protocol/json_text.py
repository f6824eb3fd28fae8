"""JSON text as Socket.IO uses it: binary values leave placeholders, and both directions are strict.

Strict means what `JSON.parse` of JavaScript takes: no NaN, no Infinity. Text that is made here can always be
written as UTF-8.

Source: https://github.com/socketio/socket.io-protocol, "Packet encoding"; RFC 8259.
"""

from collections.abc import Callable
from json import JSONDecoder, JSONEncoder
from typing import Any, NoReturn

from zmqio.exceptions import PacketError

__all__ = ["decode_json", "encode_json", "fill_placeholders"]


class _BinaryFoundError(Exception):
    """The value has binary in it, so that it needs the encoder that collects attachments."""


def encode_json(value: Any) -> tuple[str, tuple[bytes, ...]]:
    """Encode a value in one pass; each binary value becomes `{"_placeholder":true,"num":n}`.

    Tuples are written as lists, keys as `json.dumps` writes them. A lone surrogate is written as an escape
    (and with it everything that is not ASCII), because it has no UTF-8 form.

    Returns:
        The text, and the binary values in the order of their numbers.

    Raises:
        PacketError: it holds a value that JSON has no form for (the text names its type), NaN or Infinity, or
            is nested too deeply or contains itself.
    """
    try:
        text, attachments = _PLAIN.encode(value), ()
    except _BinaryFoundError:
        return _encode_with_binary(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise _encoding_error(error) from error
    return (text, attachments) if _is_utf8(text) else (_PLAIN_ASCII.encode(value), attachments)


def decode_json(text: str, start: int = 0) -> Any:
    """Decode the JSON value that begins exactly at `start` and ends the text, white space aside.

    Raises:
        PacketError: it is not one JSON value, or is nested too deeply.
    """
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        raise PacketError(f"the payload is not JSON: {error}") from error
    if end != len(text) and text[end:].strip(" \t\r\n"):
        raise PacketError(f"the payload is not JSON: something follows it at character {end}")
    return value


def fill_placeholders(data: Any, attachments: list[bytes]) -> None:
    """Put attachments in the place of their placeholders, anywhere inside a list.

    Raises:
        PacketError: a placeholder has no number, or one that no attachment has.
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
    raise PacketError(f"placeholder {number!r:.40} names none of the {len(attachments)} attachments")


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
    return text, tuple(attachments)


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _encoder(default: Callable[[Any], Any], *, ensure_ascii: bool) -> JSONEncoder:
    # A value that contains itself ends in RecursionError all the same; looking for it first costs time.
    return JSONEncoder(
        separators=(",", ":"),
        ensure_ascii=ensure_ascii,
        allow_nan=False,
        check_circular=False,
        default=default,
    )


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
        return PacketError("NaN and Infinity have no JSON form; send None, or a text")
    return PacketError(f"a value cannot be sent: {error}")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_PLAIN = _encoder(_refuse_or_note_binary, ensure_ascii=False)
_PLAIN_ASCII = _encoder(_refuse, ensure_ascii=True)
_DECODER = JSONDecoder(parse_constant=_refuse_constant)
