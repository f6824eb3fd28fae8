"""Big room operations in slices, and everything later behind them."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from tests.support.timing import wait_until
from zmqio.adapter.room_queue import SLICE_SOCKETS, RoomOperation, RoomOperationQueue
from zmqio.ids import Sid

MANY = [Sid(str(number)) for number in range(2 * SLICE_SOCKETS + 1)]


class Record:
    """What was done, in order."""

    def __init__(self) -> None:
        self.done: list[object] = []

    def act(self, sids: Sequence[Sid]) -> None:
        self.done.append(len(sids))

    def note(self, what: object) -> Callable[[], None]:
        return lambda: self.done.append(what)


def big(record: Record, name: str = "end") -> RoomOperation:
    return RoomOperation(lambda: MANY, record.act, record.note(name))


async def test_small_work_is_done_at_once() -> None:
    turns, record = RoomOperationQueue(), Record()
    assert turns.begin(RoomOperation(lambda: MANY[:SLICE_SOCKETS], record.act, record.note("then")))
    assert record.done == [SLICE_SOCKETS, "then"]
    assert not turns.busy


async def test_big_work_leaves_the_loop_free_between_its_slices() -> None:
    turns, record = RoomOperationQueue(), Record()
    assert not turns.begin(big(record))
    loop = asyncio.get_running_loop()
    for _ in range(2):
        loop.call_soon(record.note("others"))
        await asyncio.sleep(0)
    await wait_until(lambda: not turns.busy, "the end")
    assert record.done == [SLICE_SOCKETS, SLICE_SOCKETS, "others", 1, "end", "others"]


async def test_later_work_waits_for_its_turn_and_selects_then() -> None:
    turns, record = RoomOperationQueue(), Record()
    members: list[Sid] = []
    turns.begin(RoomOperation(lambda: MANY, members.extend))
    turns.begin(RoomOperation(lambda: tuple(members), record.act, record.note("second")))
    await turns.complete(RoomOperation(then=record.note("third")))
    assert record.done == [SLICE_SOCKETS, SLICE_SOCKETS, 1, "second", "third"]


async def test_heavier_work_comes_in_smaller_slices() -> None:
    turns, record = RoomOperationQueue(), Record()
    await turns.complete(RoomOperation(lambda: MANY[:250], record.act, record.note("end"), slice_sockets=100))
    assert record.done == [100, 100, 50, "end"]


async def test_socket_that_acts_itself_is_served_first_and_once() -> None:
    turns = RoomOperationQueue()
    seen: list[Sid] = []
    turns.begin(RoomOperation(lambda: MANY, seen.extend))
    turns.catch_up(MANY[-1])
    assert seen == [*MANY[:SLICE_SOCKETS], MANY[-1]]
    turns.catch_up(MANY[-1])
    turns.catch_up(Sid("a stranger"))
    await turns.complete(RoomOperation())
    assert sorted(seen) == sorted(MANY)


async def test_nothing_is_done_to_a_socket_that_has_gone() -> None:
    turns = RoomOperationQueue()
    seen: list[Sid] = []
    turns.begin(RoomOperation(lambda: MANY, seen.extend))
    turns.drop(MANY[-1])
    await turns.complete(RoomOperation())
    assert sorted(seen) == sorted(MANY[:-1])


async def test_all_of_them_may_go() -> None:
    turns, record = RoomOperationQueue(), Record()
    turns.begin(big(record))
    for sid in MANY:
        turns.drop(sid)
    await turns.complete(RoomOperation())
    assert record.done == [SLICE_SOCKETS, 0, "end"]


def fail(_sids: Sequence[Sid] = ()) -> None:
    raise ValueError("it fails")


@pytest.mark.parametrize("work", [RoomOperation(act=fail), RoomOperation(then=fail), RoomOperation(select=fail)])  # type: ignore[arg-type]
async def test_error_reaches_who_waits_and_stops_nobody_else(work: RoomOperation) -> None:
    turns, record = RoomOperationQueue(), Record()
    turns.begin(big(record))
    failing = asyncio.create_task(turns.complete(work))
    await asyncio.sleep(0)
    await turns.complete(RoomOperation(then=record.note("next")))
    with pytest.raises(ValueError, match="it fails"):
        await failing
    assert record.done[-2:] == ["end", "next"]


async def test_error_of_small_work_is_raised_at_once() -> None:
    with pytest.raises(ValueError, match="it fails"):
        RoomOperationQueue().begin(RoomOperation(then=fail))


async def test_error_that_nobody_waits_for_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    turns, record = RoomOperationQueue(), Record()
    turns.begin(big(record))
    turns.begin(RoomOperation(then=fail))
    await turns.complete(RoomOperation())
    assert "room_operation_failed" in capsys.readouterr().out


async def test_work_goes_on_when_who_waits_is_cancelled() -> None:
    turns, record = RoomOperationQueue(), Record()
    waiting = asyncio.create_task(turns.complete(big(record)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await turns.complete(RoomOperation())
    assert record.done == [SLICE_SOCKETS, SLICE_SOCKETS, 1, "end"]
