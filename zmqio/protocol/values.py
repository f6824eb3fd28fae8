"""JSON-like values in msgpack: the application data that nodes exchange (arguments, responses, descriptions).

JSON-like values are None, bool, int of any size, float, str, bytes, lists, and dicts with string keys. Pickle is
never used.

Source: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from typing import Any

import msgpack

from zmqio.exceptions import EnvelopeError, PacketError
from zmqio.protocol.msgpack_input import unpack
from zmqio.protocol.value_limits import MAX_DEPTH

__all__ = ["BIG_INT_CODE", "pack_values", "plain", "unpack_list", "unpack_values"]

BIG_INT_CODE = 1
"""Extension type of an integer beyond 64 bits: two's complement, big-endian, as short as possible."""

WRAPPING_DEPTH = 4
"""Lists and dicts of zmqio itself around an application's value: arguments, rows and batches of a response."""
_UNIX_SECONDS = 1
"""msgpack-python: decode the timestamp extension as a float."""


def pack_values(value: Any) -> bytes:
    """Pack one JSON-like value, such as a list of arguments.

    Tuples are packed as lists, bytearray and memoryview as bytes, and keys as `json.dumps` encodes them. A lone
    surrogate in a string is preserved.

    Raises:
        PacketError: a value is not JSON-like (the text names its type), is nested too deeply, or contains itself.
    """
    flat = plain(value)
    try:
        return _pack(flat)
    except UnicodeEncodeError:
        return _pack(flat, unicode_errors="surrogatepass")


def unpack_values(packed: bytes) -> Any:
    """Unpack a value of `pack_values`. A timestamp of another packer becomes a float (Unix seconds).

    Raises:
        EnvelopeError: the bytes are not one JSON-like value.
    """
    try:
        return unpack(packed, ext_hook=_read_extension, timestamp=_UNIX_SECONDS, unicode_errors="surrogatepass")
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise EnvelopeError(f"the bytes are not msgpack of a JSON-like value: {error}") from error


def unpack_list(packed: bytes) -> list[Any]:
    """Unpack a list, such as arguments.

    Raises:
        EnvelopeError: the bytes are not a list of JSON-like values.
    """
    values = unpack_values(packed)
    if type(values) is not list:
        raise EnvelopeError(f"the bytes must be msgpack of a list, not {type(values).__name__!r}")
    return values


def plain(value: Any) -> Any:
    """Copy a JSON-like value, so that the copy contains only lists, dicts with string keys, bytes and scalars.

    Raises:
        PacketError: a value is not JSON-like (the text names its type), is nested too deeply, or contains itself.
    """
    return _plain(value, MAX_DEPTH + WRAPPING_DEPTH)


_TOO_DEEP = f"a value is nested more than {MAX_DEPTH} lists and dicts deep, or contains itself; send it flatter"
_SCALARS = frozenset({str, int, float, bool, bytes, type(None)})
_CONSTANT_KEYS = {True: "true", False: "false", None: "null"}


def _plain(value: Any, levels: int) -> Any:
    if type(value) in _SCALARS:
        return value
    if isinstance(value, dict | list | tuple) and not levels:
        raise PacketError(_TOO_DEEP)
    if isinstance(value, dict):
        return {_key(key): _plain(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, levels - 1) for item in value]
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str | int | float | bytes):  # a subclass, such as an enum
        return value
    raise PacketError(
        f"a value of type {type(value).__name__!r} cannot be sent; "
        "send None, bool, int, float, str, bytes, list, tuple or dict"
    )


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return _CONSTANT_KEYS[key]
    if isinstance(key, int):
        return int.__repr__(key)
    if isinstance(key, float):
        return float.__repr__(key)
    raise PacketError(f"a key of type {type(key).__name__!r} cannot be sent; use str, int, float, bool or None")


def _pack(value: Any, unicode_errors: str | None = None) -> bytes:
    try:
        packed: bytes = msgpack.packb(value, default=_write_extension, unicode_errors=unicode_errors)
    except UnicodeEncodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise PacketError(f"{_TOO_DEEP} ({error})") from error
    return packed


def _write_extension(value: int) -> msgpack.ExtType:
    length = value.bit_length() // 8 + 1
    return msgpack.ExtType(BIG_INT_CODE, value.to_bytes(length, "big", signed=True))


def _read_extension(code: int, data: bytes) -> int:
    if code != BIG_INT_CODE:
        raise EnvelopeError(f"extension type {code} is unknown")
    return int.from_bytes(data, "big", signed=True)
