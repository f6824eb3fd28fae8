"""Rooms are retained as long as one session needs them."""

from hypothesis import given
from hypothesis import strategies as st

from zmqio.cluster.retained_rooms import RetainedRooms


def test_the_first_retains_and_the_last_releases() -> None:
    retained = RetainedRooms()
    assert retained.add(("a", "b")) == ["a", "b"]
    assert retained.add(("b", "c")) == ["c"]
    assert retained.remove(("a", "b")) == ["a"]
    assert sorted(retained) == ["b", "c"] and "a" not in retained
    assert sorted(retained.remove(("b", "c"))) == ["b", "c"]
    assert retained.remove(("b",)) == []


@given(st.lists(st.frozensets(st.sampled_from("abc"))))
def test_nothing_is_left_once_all_are_removed(sessions: list[frozenset[str]]) -> None:
    retained = RetainedRooms()
    for rooms in sessions:
        retained.add(rooms)
    assert set(retained) == set().union(*sessions)
    for rooms in sessions:
        retained.remove(rooms)
    assert list(retained) == []
