"""Rooms are unsubscribed from in slices, and those with a member again not at all."""

from collections.abc import Collection

from tests.support.timing import wait_until
from zmqio.cluster.leaving_rooms import SLICE_ROOMS, LeavingRooms

MANY = [f"room {number}" for number in range(3 * SLICE_ROOMS)]


class Unsubscribed:
    """Records the slices."""

    def __init__(self) -> None:
        self.slices: list[list[str]] = []
        self.leaving = LeavingRooms(self)

    def __call__(self, rooms: Collection[str]) -> None:
        self.slices.append(list(rooms))


async def test_few_rooms_are_left_at_once() -> None:
    seen = Unsubscribed()
    seen.leaving.add(["a", "b"])
    seen.leaving.add([])
    assert seen.slices == [["a", "b"]]


async def test_many_rooms_are_left_in_slices() -> None:
    seen = Unsubscribed()
    seen.leaving.add(MANY)
    assert seen.slices == []
    await wait_until(lambda: sum(map(len, seen.slices)) == len(MANY), "the last slice")
    assert [room for rooms in seen.slices for room in rooms] == MANY
    assert max(map(len, seen.slices)) == SLICE_ROOMS


async def test_room_that_has_a_member_again_keeps_its_subscription() -> None:
    seen = Unsubscribed()
    seen.leaving.add(MANY)
    assert list(seen.leaving.take_back([MANY[0], "new", MANY[-1]])) == ["new"]
    await wait_until(lambda: sum(map(len, seen.slices)) == len(MANY) - 2, "the last slice")
    assert {MANY[0], MANY[-1]}.isdisjoint(room for rooms in seen.slices for room in rooms)
    assert list(seen.leaving.take_back(["x"])) == ["x"]


async def test_flush_leaves_the_rest_at_once() -> None:
    seen = Unsubscribed()
    seen.leaving.add(MANY)
    seen.leaving.add(["one more"])
    seen.leaving.flush()
    assert seen.slices == [[*MANY, "one more"]]
    seen.leaving.add(["later"])
    assert seen.slices[-1] == ["later"]
