"""Limits of received values: a value that could not be sent again is rejected, whatever the parser.

A value is accepted if its lists and dicts are nested at most `MAX_DEPTH` deep, its numbers are finite as
JavaScript numbers (so no NaN, no Infinity, no `1e999`), and its keys are strings. These limits do not depend on
those of the interpreter. Both parsers apply them in both directions; publish requests are checked, too. Data that
cannot exceed the limits costs one scan in C.
"""

import math
import re
import sys
from itertools import accumulate
from typing import Any

from zmqio.exceptions import PacketError

__all__ = [
    "MAX_DEPTH",
    "MAX_INT_DIGITS",
    "check_depth",
    "check_packed",
    "check_text_depth",
    "check_value",
    "decoded_bytes",
    "finite_float",
    "finite_int",
    "has_long_number",
    "may_be_deep",
    "takes_more_than",
]

MAX_DEPTH = 128
"""Deepest nesting of a payload. Every encoder, and msgpack's limit of 511 between nodes, leaves room above it."""
MAX_INT_DIGITS = 309
"""Most digits of an integer: those of the largest finite JavaScript number. Source: ECMA-262, Number.MAX_VALUE."""

LIST_BYTES = 88
DICT_BYTES = 240
ITEM_BYTES = 64
PACKED_CONTAINER_BYTES = 160
PACKED_ITEM_BYTES = 20
_WIDEST_CHARACTER = 4

_FEW, _LONG = 4, 2_000
_SAFE_RECURSION = 5_000
"""A higher recursion limit would let the JSON decoder recurse beyond a thread's stack."""
_DIGITS_TO_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_MANY_ZEROS = b"0" * MAX_INT_DIGITS
_PROBE_STEP = 30
_PROBED_ZEROS = b"0" * (MAX_INT_DIGITS // _PROBE_STEP)
"""Every thirtieth character of a text with a long number has this many digits in a row; few other texts do."""
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKETS = {"[": 1, "{": 1, "]": -1, "}": -1}
_CONTAINERS = frozenset({list, tuple, dict})
_CONTAINER_BYTES = bytes((*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF))
# Source: msgpack spec. Floats whose exponent may be all ones; long extensions; binary, perhaps as a key.
_SUSPECT = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]|\xca[\x7f\xff][\x80-\xff]|[\xc4-\xc9]")


def may_be_deep(text: str) -> bool:
    """Whether JSON text has enough brackets to be nested too deeply, so more than `MAX_DEPTH` characters."""
    return _count(text, "[") + _count(text, "{") > MAX_DEPTH


def _count(text: str, character: str) -> int:
    """Equal to `text.count(character)`, and 50 times as fast for long text with few of them."""
    if len(text) < _LONG:
        return text.count(character)
    at = -1
    for number in range(_FEW):
        at = text.find(character, at + 1)
        if at < 0:
            return number
    return _FEW + text.count(character, at + 1)


def check_text_depth(text: str) -> None:
    """Check the depth of JSON text before it is decoded, if the interpreter's recursion limit is not safe.

    Raises:
        PacketError: it is nested too deeply.
    """
    if sys.getrecursionlimit() > _SAFE_RECURSION:
        brackets = (_BRACKETS[character] for character in _STRING.sub("", text) if character in _BRACKETS)
        if max(accumulate(brackets), default=0) > MAX_DEPTH:
            raise _too_deep()


def has_long_number(text: str) -> bool:
    """Whether JSON text may have an integer that is too large. A text shorter than `MAX_INT_DIGITS` has none."""
    return _has_digits(text[::_PROBE_STEP], _PROBED_ZEROS) and _has_digits(text, _MANY_ZEROS)


def _has_digits(text: str, zeros: bytes) -> bool:
    """Whether `text` has as many digits in a row; seven times as fast as a regex."""
    return zeros in text.encode("utf-8", "replace").translate(_DIGITS_TO_ZEROS)


def finite_float(text: str) -> float:
    """Decode a JSON number with a fraction or an exponent.

    Raises:
        PacketError: it is too large.
    """
    value = float(text)
    if value - value != 0.0:  # infinite; faster than `math.isfinite`
        raise PacketError(f"number {text:.40} is too large")
    return value


def finite_int(text: str) -> int:
    """Decode a JSON integer.

    Raises:
        PacketError: it is too large.
    """
    if len(text) >= MAX_INT_DIGITS and not math.isfinite(float(text)):
        raise PacketError(f"number {text:.40}... is too large: it has {len(text)} digits")
    return int(text)


def check_packed(packed: bytes, value: Any) -> None:
    """Check a value that was unpacked from msgpack.

    Raises:
        PacketError: it breaks the rule.
    """
    containers = len(packed) - len(packed.translate(None, _CONTAINER_BYTES)) if len(packed) > MAX_DEPTH else 0
    if containers > MAX_DEPTH or _SUSPECT.search(packed) is not None:
        check_value(value)


def check_depth(value: Any) -> None:
    """Check only the depth of a value. It must not contain itself.

    Raises:
        PacketError: it is nested too deeply.
    """
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for container in level
            for item in (container.values() if isinstance(container, dict) else container)
            if type(item) in _CONTAINERS
        ]
        if not level:
            return
    raise _too_deep()


def check_value(value: Any, *, keys: bool = True) -> None:
    """Check a value. It must not contain itself.

    Args:
        value: a decoded value, or one that has been encoded.
        keys: also check that keys are texts.

    Raises:
        PacketError: it breaks the rule.
    """
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        following: list[Any] = []
        for container in level:
            if keys and isinstance(container, dict):
                _check_keys(container)
            for item in container.values() if isinstance(container, dict) else container:
                kind = type(item)
                if kind in _CONTAINERS:
                    following.append(item)
                elif kind is float or kind is int:
                    _check_number(item)
        if not following:
            return
        level = following
    raise _too_deep()


def decoded_bytes(data: str | bytes) -> int:
    """Estimate the memory that a packet takes once it is decoded, too much rather than too little.

    A text of `[[],[],...]` takes 27 times its length, a long text as much as its length. In msgpack, any byte may
    be an item, so binary data counts as 20 times its length.

    Args:
        data: JSON text, or a msgpack packet.
    """
    if isinstance(data, str):
        lists, dicts, items = data.count("["), data.count("{"), data.count(",") + data.count(":")
        size = len(data) if data.isascii() else len(data) * _WIDEST_CHARACTER
        return size + lists * LIST_BYTES + dicts * DICT_BYTES + items * ITEM_BYTES
    containers = len(data) - len(data.translate(None, _CONTAINER_BYTES))
    return len(data) * PACKED_ITEM_BYTES + containers * PACKED_CONTAINER_BYTES


def takes_more_than(value: Any, limit: int) -> bool:
    """Whether a decoded value takes more than about `limit` bytes of memory. Stops counting at the limit."""
    size, rest = 0, [value]
    while rest and size <= limit:
        item = rest.pop()
        size += ITEM_BYTES
        if isinstance(item, str):
            size += len(item) if item.isascii() else len(item) * _WIDEST_CHARACTER
        elif isinstance(item, bytes):
            size += len(item)
        elif isinstance(item, dict):
            size += DICT_BYTES - ITEM_BYTES
            rest += (*item, *item.values())
        elif isinstance(item, list):
            size += LIST_BYTES - ITEM_BYTES
            rest += item
    return size > limit


def _check_number(value: float) -> None:
    try:
        finite = math.isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise PacketError("a number is NaN, infinite or too large for JavaScript; send None or a string")


def _check_keys(container: dict[Any, Any]) -> None:
    for key in container:
        if type(key) is not str:
            raise PacketError(f"a key of type {type(key).__name__!r} cannot be sent; use a string")


def _too_deep() -> PacketError:
    return PacketError(f"a value is nested more than {MAX_DEPTH} lists and dicts deep; flatten it")
