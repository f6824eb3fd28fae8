"""Text for log lines: bounded and printable, whatever a client has put into the values."""

import gc
import sys
from typing import Any

import pytest

from zmqio.log_text import MAX_TRACEBACK, error_text, loggable, printable, traceback_text


def nested(depth: int) -> list[Any]:
    """A list in a list, `depth` times."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def raised(error: BaseException, *arguments: Any) -> BaseException:
    """The error with a traceback through a frame that has `arguments`."""
    with pytest.raises(type(error)) as caught:
        fail(error, *arguments)
    return caught.value


def fail(error: BaseException, *arguments: Any) -> None:
    """Raise the error from a frame that has `arguments`."""
    raise error


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Grüße 中", "Grüße 中"),
        ("a\r\nforged=1", "a\\r\\nforged=1"),
        ("\ud800", "\\ud800"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\u2028b\u202ec", "a\\u2028b\\u202ec"),
    ],
)
def test_text_is_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_cut_and_states_its_length() -> None:
    assert printable("x" * 2_000, 10) == "xxxxxxxxxx... (2000 characters)"


def test_harmless_values_stay_as_they_are() -> None:
    value = {"a": [1, 2.5, None, True], "b": ("x",)}
    assert loggable(value) == value
    assert loggable(frozenset()) == "frozenset()"


@pytest.mark.parametrize(
    "value",
    [nested(900), [[]] * 300_000, {"a": "x" * 10**6}, 1 << 100_000, b"x" * 10**6, ["\ud800"] * 40],
    ids=["deep", "many", "long", "digits", "bytes", "surrogates"],
)
def test_any_value_becomes_short_and_can_be_encoded(value: Any) -> None:
    assert len(repr(loggable(value)).encode()) < 4_000


@pytest.mark.parametrize(
    "error",
    [ValueError(nested(900)), KeyError([[]] * 300_000), ValueError("x" * 10**6), ValueError(1, "a\nb")],
    ids=["deep", "many", "long", "lines"],
)
def test_error_is_one_short_line(error: Exception) -> None:
    text = error_text(error)
    assert len(text) < 1_000
    assert "\n" not in text


def test_error_whose_text_cannot_be_made_is_named() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert error_text(SilentError()).endswith("SilentError: (its text cannot be made)")


@pytest.mark.parametrize("depth", [200, 300, 900])
def test_traceback_shows_the_code_and_no_value(depth: int) -> None:
    text = traceback_text(raised(ValueError("on purpose"), nested(depth), {"token": "SECRET-" + "TOKEN"}))
    assert "raise error" in text
    assert text.splitlines()[-1] == "ValueError: on purpose"
    assert "SECRET-TOKEN" not in text
    assert len(text) < 1_000


def test_traceback_of_a_recursion_is_bounded() -> None:
    def recurse(number: int) -> int:
        return recurse(number + 1) + 1

    with pytest.raises(RecursionError) as caught:
        recurse(0)
    text = traceback_text(caught.value)
    assert "frames are not shown" in text
    assert len(text) <= MAX_TRACEBACK


def test_traceback_names_causes_notes_and_members_of_a_group() -> None:
    cause = raised(KeyError("deep"))
    error = ExceptionGroup("several", [ValueError("first"), raised(TypeError("second"))])  # type: ignore[list-item]
    error.__cause__ = cause
    error.add_note("a note\nof two lines")
    text = traceback_text(raised(error))
    assert text.index("KeyError: 'deep'") < text.index("direct cause") < text.index("ExceptionGroup: several")
    assert "a note\\nof two lines" in text
    assert "ValueError: first" in text
    assert "TypeError: second" in text


def test_text_of_a_client_begins_no_line() -> None:
    text = traceback_text(raised(ValueError("x\nERROR forged")))
    assert not any(line.startswith("ERROR") for line in text.splitlines())


def test_work_for_a_traceback_does_not_depend_on_the_values() -> None:
    """Counted as calls of functions, which a renderer of values makes by the million."""

    def calls_for(error: BaseException) -> int:
        calls = 0

        def count(_frame: Any, event: str, _arg: Any) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        traceback_text(error)  # the source is read once
        gc.disable()  # hypothesis is called at the beginning and the end of a collection
        sys.setprofile(count)
        try:
            traceback_text(error)
        finally:
            sys.setprofile(None)
            gc.enable()
        return calls

    assert calls_for(raised(ValueError("x"), nested(900), [[]] * 10_000)) == calls_for(raised(ValueError("x"), 1))
