from hypothesis import given
from hypothesis import strategies as st

from zmqio.adapter.rooms import RoomIndex
from zmqio.ids import Sid

A, B, C = Sid("a"), Sid("b"), Sid("c")


def test_first_and_last_member_of_a_room_are_reported() -> None:
    index = RoomIndex()
    assert index.add(A, ["r", "s"]) == (["r", "s"], ["r", "s"])
    assert index.add(B, ["r"]) == (["r"], [])
    assert index.remove(A, ["r"]) == (["r"], [])
    assert index.remove(B, ["r"]) == (["r"], ["r"])


def test_joining_twice_and_leaving_an_unjoined_room_change_nothing() -> None:
    index = RoomIndex()
    index.add(A, ["r"])
    assert index.add(A, ["r"]) == ([], [])
    assert index.remove(A, ["s"]) == ([], [])
    assert index.remove(B, ["r"]) == ([], [])
    assert index.remove_all(B) == ([], [])


def test_remove_all_leaves_every_room_and_the_namespace() -> None:
    index = RoomIndex()
    index.add(A, ["r", "s"])
    index.add(B, ["s"])
    assert index.remove_all(A) == (["r", "s"], ["r"])
    assert list(index.select(None)) == [B]
    assert list(index.rooms()) == ["s"]
    assert "r" not in index


def test_socket_without_rooms_still_belongs_to_the_namespace() -> None:
    index = RoomIndex()
    index.add(A, ["r"])
    index.remove(A, ["r"])
    assert list(index.select(None)) == [A]
    assert list(index.rooms_of(A)) == []
    assert len(index) == 1


def test_sid_in_two_rooms_is_selected_once_and_in_order() -> None:
    index = RoomIndex()
    index.add(A, ["r"])
    index.add(B, ["r", "s"])
    index.add(C, ["s"])
    assert list(index.select(["r", "s"])) == [A, B, C]


def test_except_excludes_members_of_any_of_its_rooms() -> None:
    index = RoomIndex()
    index.add(A, ["r", "x"])
    index.add(B, ["r", "y"])
    index.add(C, ["r"])
    assert list(index.select(["r"], ["x", "y", "nobody"])) == [C]
    assert list(index.select(None, ["x"])) == [B, C]
    assert list(index.select(["r"], ["nobody"])) == [A, B, C]


def test_selection_of_one_room_is_its_live_set() -> None:
    index = RoomIndex()
    index.add(A, ["r"])
    selected = index.select(["r"])
    index.add(B, ["r"])
    assert list(selected) == [A, B]


def test_unknown_room_is_empty_and_stays_unknown() -> None:
    index = RoomIndex()
    assert list(index.select(["nobody"])) == []
    assert list(index.select(["nobody", "none"])) == []
    assert list(index.rooms_of(A)) == []
    assert "nobody" not in index


names = st.sampled_from("abcd")
steps = st.lists(st.tuples(st.sampled_from(["add", "remove", "all"]), names, st.lists(names)))


@given(steps, st.none() | st.sets(names), st.sets(names))
def test_index_agrees_with_plain_sets(
    steps: list[tuple[str, str, list[str]]], rooms: set[str] | None, out: set[str]
) -> None:
    index, model = RoomIndex(), dict[str, set[str]]()
    for step, name, named in steps:
        sid = Sid(name)
        before = {room for mine in model.values() for room in mine}
        if step == "add":
            model.setdefault(sid, set()).update(named)
            change = index.add(sid, named)
        elif step == "remove":
            model.get(sid, set()).difference_update(named)
            change = index.remove(sid, named)
        else:
            model.pop(sid, None)
            change = index.remove_all(sid)
        after = {room for mine in model.values() for room in mine}
        assert set(change.edges) == before ^ after
        assert len(change.edges) == len(before ^ after)
        assert set(index.rooms()) == after
    reached = {sid for sid, mine in model.items() if (rooms is None or mine & rooms) and not mine & out}
    selected = list(index.select(rooms, out))
    assert set(selected) == reached
    assert len(selected) == len(reached)
