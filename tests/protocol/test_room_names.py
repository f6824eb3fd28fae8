"""`room_names`: names, lists of names, and errors that suggest the intended call."""

from typing import Any

import pytest

from zmqio.exceptions import TopicError
from zmqio.protocol.room_names import room_names


@pytest.mark.parametrize(
    "rooms",
    [("a", "b", "c"), (["a", "b", "c"],), (("a", "b"), "c"), ("a", ["b", "c"]), ({"a": 1, "b": 2}.keys(), "c")],
)
def test_names_and_lists_of_names_are_taken_in_order(rooms: tuple[Any, ...]) -> None:
    assert room_names("to", rooms) == ("a", "b", "c")


@pytest.mark.parametrize("rooms", [(), ([],), ([], ())])
def test_no_name_is_an_empty_selection(rooms: tuple[Any, ...]) -> None:
    assert room_names("to", rooms) == ()


class _WithId:
    id = "abc"


@pytest.mark.parametrize(
    ("room", "meant"),
    [
        (5, r"join\(\) got 5 of type 'int' as a room; .*did you mean '5'\?"),
        (b"lobby", "did you mean 'lobby'"),
        (None, "leave the step out"),
        ({"a": 1}, "a string, or a list of strings"),
        (_WithId(), "did you mean its `id`"),
        (["a", 5], "did you mean '5'"),
        ([["a"]], "got \\['a'\\] of type 'list'"),
    ],
)
def test_error_names_the_call_the_value_and_what_was_meant(room: Any, meant: str) -> None:
    with pytest.raises(TypeError, match=meant):
        room_names("join", ("good", room))


@pytest.mark.parametrize("rooms", [("good", "a\0b"), (["good", "a\0b"],)])
def test_name_with_a_nul_is_an_error(rooms: tuple[Any, ...]) -> None:
    with pytest.raises(TopicError):
        room_names("to", rooms)
