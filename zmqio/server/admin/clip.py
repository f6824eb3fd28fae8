"""Shortens values of the application and of clients, so that what the admin page shows stays small. Pure."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

__all__ = ["MAX_TEXT", "MAX_VALUES", "clip"]

MAX_VALUES = 100
"""Values of one event or of one `socket.data` that are shown, keys and nested ones included."""
MAX_TEXT = 200
"""Characters of one text that are shown."""
MAX_DEPTH = 5
LARGE_INT = 2**53
"""JavaScript loses digits of larger ones."""


def clip(value: Any) -> Any:
    """Return a JSON-like copy of a value that has at most `MAX_VALUES` values.

    Omissions are marked with `...`. Bytes, and values that JSON does not have, are named by their type.
    """
    return _clip(value, [MAX_VALUES], MAX_DEPTH)


def _clip(value: Any, left: list[int], depth: int) -> Any:
    left[0] -= 1
    if not isinstance(value, Mapping | list | tuple):
        return _scalar(value)
    if not depth:
        return "..."
    return _mapping(value, left, depth) if isinstance(value, Mapping) else _list(value, left, depth)


def _scalar(value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case str():
            return _text(value)
        case float():
            return value if isfinite(value) else str(value)
        case int():
            return value if abs(value) < LARGE_INT else "<large int>"
        case bytes() | bytearray():
            return f"<{len(value)} bytes>"
    return f"<{type(value).__name__}>"


def _mapping(value: Mapping[Any, Any], left: list[int], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        if left[0] <= 0:
            found["..."] = f"{len(value) - len(found)} more"
            break
        found[_text(str(key))] = _clip(item, left, depth - 1)
    return found


def _list(value: list[Any] | tuple[Any, ...], left: list[int], depth: int) -> list[Any]:
    found: list[Any] = []
    for item in value:
        if left[0] <= 0:
            found.append(f"... {len(value) - len(found)} more")
            break
        found.append(_clip(item, left, depth - 1))
    return found


def _text(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}... ({len(text)} characters)"
