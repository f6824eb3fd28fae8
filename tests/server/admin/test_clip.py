"""`clip`: what is left of values of any size and kind."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.server.admin.clip import MAX_TEXT, MAX_VALUES, clip

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def count(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(count(item) for item in value.values())
    return 1 + sum(count(item) for item in value) if isinstance(value, list) else 1


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "text", [], {}, {"a": [1, {"b": "c"}]}, [[[["deep"]]]]])
def test_small_values_stay_as_they_are(value: Any) -> None:
    assert clip(value) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"\x00\x01", "<2 bytes>"),
        ((1, 2), [1, 2]),
        (float("nan"), "nan"),
        (2**60, "<large int>"),
        (datetime(2026, 1, 1), "<datetime>"),
        ({1: object()}, {"1": "<object>"}),
        ("x" * (MAX_TEXT + 1), "x" * MAX_TEXT + f"... ({MAX_TEXT + 1} characters)"),
        ([[[[[["too deep"]]]]]], [[[[["..."]]]]]),
    ],
)
def test_others_are_named_or_shortened(value: Any, shown: Any) -> None:
    assert clip(value) == shown


def test_omitted_values_are_counted() -> None:
    assert clip(list(range(500)))[-1] == f"... {500 - MAX_VALUES + 1} more"
    assert clip({str(number): 0 for number in range(500)})["..."] == f"{500 - MAX_VALUES + 1} more"


@given(JSON | st.lists(st.integers() | st.text() | st.lists(st.none()), max_size=2 * MAX_VALUES))
def test_result_is_json_of_a_bounded_size(value: Any) -> None:
    shown = clip(value)
    json.dumps(shown, allow_nan=False)
    assert count(shown) <= 2 * MAX_VALUES
