"""Text for log lines: bounded, printable forms of values and tracebacks, whatever a client has put into them.

Pure. A traceback shows code, never the values of variables: those are payloads, tokens and passwords. A text that
comes from a client cannot begin a new line.
"""

import linecache
from collections import deque
from reprlib import Repr
from types import TracebackType
from typing import Any

__all__ = ["MAX_TRACEBACK", "error_text", "loggable", "printable", "traceback_text"]

MAX_TEXT = 1_000
"""Most characters of one text."""
MAX_ITEMS = 50
"""Most items of one list, set or dict."""
MAX_TRACEBACK = 8_000
"""Most characters of one traceback."""
MAX_FRAMES = 12
"""Most frames of the error itself."""
MAX_RELATED_FRAMES = 4
"""Most frames of an error that caused it, or of a member of its group."""
MAX_RELATED = 2
"""Most errors in the chain of causes, and most members of a group, that are shown."""
MAX_LINE = 200
MAX_MESSAGE = 500
MAX_INT_BITS = 1_024

_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"
_PLAIN_TYPES = frozenset({float, bool, type(None)})
_COLLECTIONS = frozenset({list, tuple, dict})

_short = Repr()
_short.maxlevel = 3
_short.maxstring = _short.maxother = MAX_MESSAGE


def printable(text: str, limit: int = MAX_TEXT) -> str:
    """Return `text` with line ends, control characters and lone surrogates escaped.

    At most `limit` characters are kept; beyond that, the text ends with its length.
    """
    if len(text) > limit:
        text = f"{text[:limit]}... ({len(text)} characters)"
    return text if text.isprintable() else "".join(map(_escaped, text))


def loggable(value: Any, depth: int = 3) -> Any:
    """Return a value that every log can write: scalars, printable texts, and small collections of them.

    Scalars and texts that are harmless are returned as they are. Any other object becomes the beginning of its
    repr, and an error its type and message.
    """
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT and value.isprintable() else printable(value)
    if type(value) in _PLAIN_TYPES or (isinstance(value, int) and value.bit_length() <= MAX_INT_BITS):
        return value
    if depth and type(value) in _COLLECTIONS and len(value) <= MAX_ITEMS:
        if isinstance(value, dict):
            return {printable(str(key)): loggable(item, depth - 1) for key, item in value.items()}
        return type(value)(loggable(item, depth - 1) for item in value)
    if isinstance(value, int):
        return f"a number of {value.bit_length()} bits"
    return error_text(value) if isinstance(value, BaseException) else printable(_short.repr(value))


def error_text(error: BaseException) -> str:
    """Return type and message of an error in one line, as the last line of a traceback.

    Values that the error carries are shortened, however large and deep they are.
    """
    kind = type(error)
    name = (
        kind.__qualname__
        if kind.__module__ in ("builtins", "__main__")
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        message = _message(error)
    except Exception:  # noqa: BLE001 - the application's own `__str__`
        message = "(its text cannot be made)"
    return f"{name}: {printable(message, MAX_MESSAGE)}" if message else name


def traceback_text(error: BaseException) -> str:
    """Format a traceback without the values of variables, in at most `MAX_TRACEBACK` characters.

    Shown are the last `MAX_FRAMES` frames of the error, and a few of the errors that caused it.
    """
    parts = [*_frame_lines(error.__traceback__, MAX_FRAMES), error_text(error), *_notes(error)]
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions[:MAX_RELATED]:
            lines = [*_frame_lines(member.__traceback__, MAX_RELATED_FRAMES), error_text(member)]
            parts += ["  +----------------", *(f"  | {line}" for line in lines)]
    shown = error
    for _ in range(MAX_RELATED):
        related, relation = _related(shown)
        if related is None:
            break
        lines = [*_frame_lines(related.__traceback__, MAX_RELATED_FRAMES), error_text(related)]
        parts = [*lines, "", relation, "", *parts]
        shown = related
    return "\n".join(parts)[-MAX_TRACEBACK:]


def _related(error: BaseException) -> tuple[BaseException | None, str]:
    if error.__cause__ is not None:
        return error.__cause__, _CAUSE
    return (None if error.__suppress_context__ else error.__context__), _CONTEXT


def _frame_lines(trace: TracebackType | None, limit: int) -> list[str]:
    kept: deque[TracebackType] = deque(maxlen=limit)
    count = 0
    while trace is not None:
        kept.append(trace)
        count += 1
        trace = trace.tb_next
    lines = ["Traceback (most recent call last):"] if kept else []
    if count > limit:
        lines.append(f"  ... {count - limit} frames are not shown")
    for entry in kept:
        code = entry.tb_frame.f_code
        number = entry.tb_lineno
        lines.append(
            f'  File "{printable(code.co_filename, MAX_LINE)}", line {number}, in {code.co_name[:MAX_LINE]}'
        )
        source = linecache.getline(code.co_filename, number, entry.tb_frame.f_globals).strip()
        if source:
            lines.append(f"    {printable(source, MAX_LINE)}")
    return lines


def _message(error: BaseException) -> str:
    # The text of an error without a `__str__` of its own consists of its arguments, perhaps a client's payload.
    if type(error).__str__ not in (BaseException.__str__, KeyError.__str__):
        return str(error)
    if not error.args:
        return ""
    if len(error.args) == 1:
        argument = error.args[0]
        if isinstance(argument, str) and not isinstance(error, KeyError):
            return argument
        return _short.repr(argument)
    return _short.repr(error.args)


def _notes(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", None)
    if not isinstance(notes, list):
        return []
    return [printable(note, MAX_MESSAGE) for note in notes[:MAX_RELATED] if isinstance(note, str)]


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
