"""Large room operations run in slices, and later operations wait for them."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from tests.support.timing import wait_until
from zmqio.adapter.room_queue import SLICE_SOCKETS, RoomOperation, RoomOperationQueue
from zmqio.ids import Sid

MANY = [Sid(str(number)) for number in range(2 * SLICE_SOCKETS + 1)]


class Record:
    """The calls, in order."""

    def __init__(self) -> None:
        self.done: list[object] = []

    def act(self, sids: Sequence[Sid]) -> None:
        self.done.append(len(sids))

    def note(self, what: object) -> Callable[[], None]:
        return lambda: self.done.append(what)


def big(record: Record, name: str = "end") -> RoomOperation:
    return RoomOperation(lambda: MANY, record.act, record.note(name))


async def test_small_operation_runs_at_once() -> None:
    queue, record = RoomOperationQueue(), Record()
    assert queue.submit(RoomOperation(lambda: MANY[:SLICE_SOCKETS], record.act, record.note("then")))
    assert record.done == [SLICE_SOCKETS, "then"]
    assert not queue.busy


async def test_large_operation_returns_to_the_loop_between_its_slices() -> None:
    queue, record = RoomOperationQueue(), Record()
    assert not queue.submit(big(record))
    loop = asyncio.get_running_loop()
    for _ in range(2):
        loop.call_soon(record.note("others"))
        await asyncio.sleep(0)
    await wait_until(lambda: not queue.busy, "the end")
    assert record.done == [SLICE_SOCKETS, SLICE_SOCKETS, "others", 1, "end", "others"]


async def test_later_operation_waits_and_selects_its_sockets_when_it_starts() -> None:
    queue, record = RoomOperationQueue(), Record()
    members: list[Sid] = []
    queue.submit(RoomOperation(lambda: MANY, members.extend))
    queue.submit(RoomOperation(lambda: tuple(members), record.act, record.note("second")))
    await queue.run(RoomOperation(then=record.note("third")))
    assert record.done == [SLICE_SOCKETS, SLICE_SOCKETS, 1, "second", "third"]


async def test_slice_size_of_an_operation_is_used() -> None:
    queue, record = RoomOperationQueue(), Record()
    await queue.run(RoomOperation(lambda: MANY[:250], record.act, record.note("end"), slice_sockets=100))
    assert record.done == [100, 100, 50, "end"]


async def test_flush_applies_the_current_operation_to_a_socket_once() -> None:
    queue = RoomOperationQueue()
    seen: list[Sid] = []
    queue.submit(RoomOperation(lambda: MANY, seen.extend))
    queue.flush_for(MANY[-1])
    assert seen == [*MANY[:SLICE_SOCKETS], MANY[-1]]
    queue.flush_for(MANY[-1])
    queue.flush_for(Sid("unknown"))
    await queue.run(RoomOperation())
    assert sorted(seen) == sorted(MANY)


async def test_discarded_socket_is_left_out() -> None:
    queue = RoomOperationQueue()
    seen: list[Sid] = []
    queue.submit(RoomOperation(lambda: MANY, seen.extend))
    queue.discard(MANY[-1])
    await queue.run(RoomOperation())
    assert sorted(seen) == sorted(MANY[:-1])


async def test_all_sockets_may_be_discarded() -> None:
    queue, record = RoomOperationQueue(), Record()
    queue.submit(big(record))
    for sid in MANY:
        queue.discard(sid)
    await queue.run(RoomOperation())
    assert record.done == [SLICE_SOCKETS, 0, "end"]


def fail(_sids: Sequence[Sid] = ()) -> None:
    raise ValueError("it fails")


@pytest.mark.parametrize(
    "operation", [RoomOperation(act=fail), RoomOperation(then=fail), RoomOperation(select=fail)]
)  # type: ignore[arg-type]
async def test_error_is_raised_in_run_and_later_operations_still_run(operation: RoomOperation) -> None:
    queue, record = RoomOperationQueue(), Record()
    queue.submit(big(record))
    failing = asyncio.create_task(queue.run(operation))
    await asyncio.sleep(0)
    await queue.run(RoomOperation(then=record.note("next")))
    with pytest.raises(ValueError, match="it fails"):
        await failing
    assert record.done[-2:] == ["end", "next"]


async def test_error_of_a_small_operation_is_raised_at_once() -> None:
    with pytest.raises(ValueError, match="it fails"):
        RoomOperationQueue().submit(RoomOperation(then=fail))


async def test_error_of_a_submitted_operation_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    queue, record = RoomOperationQueue(), Record()
    queue.submit(big(record))
    queue.submit(RoomOperation(then=fail))
    await queue.run(RoomOperation())
    assert "room_operation_failed" in capsys.readouterr().out


async def test_operation_completes_when_its_waiter_is_cancelled() -> None:
    queue, record = RoomOperationQueue(), Record()
    waiting = asyncio.create_task(queue.run(big(record)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await queue.run(RoomOperation())
    assert record.done == [SLICE_SOCKETS, SLICE_SOCKETS, 1, "end"]
