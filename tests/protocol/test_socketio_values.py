"""Tests of `zmqio.protocol.socketio_values`."""

import pytest

from zmqio.protocol.socketio_values import arguments, is_text, room_name, room_names, skipped_sids


def test_integers_stand_for_their_digits() -> None:
    assert [room_name("42"), room_name(42), room_name(-1)] == ["42", "42", "-1"]
    assert [is_text("42"), is_text(42)] == [True, False]


@pytest.mark.parametrize("room", [1.5, True, b"room", ("a", 1), None, object()])
def test_other_types_are_refused_with_advice(room: object) -> None:
    with pytest.raises(TypeError, match="write for example"):
        room_name(room)


def test_a_room_a_list_of_rooms_or_everyone() -> None:
    assert room_names(None) is None
    assert room_names("a") == {"a"}
    assert room_names(["a", 1]) == room_names(("a", 1)) == room_names({"a", 1}) == {"a", "1"}
    assert room_names([]) == set()  # reaches no client, not every client


def test_skip_sid_is_an_id_or_a_list() -> None:
    assert skipped_sids(None) == set()
    assert skipped_sids("a") == {"a"}
    assert skipped_sids(["a", None, "b"]) == {"a", "b"}
    with pytest.raises(TypeError, match="skip_sid=1"):
        skipped_sids(1)


def test_a_tuple_means_several_arguments_and_none_means_none() -> None:
    assert [arguments(data) for data in (None, (), (1, [2]), [1, 2], "x", 0)] == [
        [],
        [],
        [1, [2]],
        [[1, 2]],
        ["x"],
        [0],
    ]
