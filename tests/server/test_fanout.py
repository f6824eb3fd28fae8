"""`FanOut`: order per member, slices, and no scheduled turn while the queue is empty."""

from collections.abc import Callable, Iterable

from hypothesis import given
from hypothesis import strategies as st

from zmqio.server.fanout import FanOut


class ManualLoop:
    """An event loop whose turns the test runs itself."""

    def __init__(self) -> None:
        self.ready: list[Callable[[], None]] = []

    def call_soon(self, function: Callable[[], None]) -> None:
        self.ready.append(function)

    def turn(self) -> None:
        ready, self.ready = self.ready, []
        for function in ready:
            function()

    def run(self) -> None:
        while self.ready:
            self.turn()


def write_all(writers: Iterable[Callable[..., None] | None], payload: str, /, *, volatile: bool) -> None:
    for write in writers:
        if write is not None:
            write(payload, volatile=volatile)


def fan_out(turns: ManualLoop, **limits: int) -> FanOut[Callable[..., None], str]:
    return FanOut(write_all, turns.call_soon, **limits)


class Inboxes:
    """The payloads of each member, in order."""

    def __init__(self) -> None:
        self.received: dict[str, list[tuple[str, bool]]] = {}

    def members(self, *sids: str) -> tuple[list[str], dict[str, Callable[..., None]]]:
        return list(sids), {sid: self.writer(sid) for sid in sids}

    def writer(self, sid: str) -> Callable[..., None]:
        def write(payload: str, /, *, volatile: bool) -> None:
            self.received.setdefault(sid, []).append((payload, volatile))

        return write

    def payloads(self, sid: str) -> list[str]:
        return [payload for payload, _ in self.received.get(sid, [])]


def test_small_broadcast_is_written_at_once() -> None:
    turns, inboxes = ManualLoop(), Inboxes()
    fan_out(turns, slice_members=3).deliver(*inboxes.members("a", "b", "c"), "x", volatile=True)
    assert inboxes.received == {"a": [("x", True)], "b": [("x", True)], "c": [("x", True)]}
    assert turns.ready == []


def test_large_broadcast_is_written_in_slices_with_a_turn_between_them() -> None:
    turns, inboxes = ManualLoop(), Inboxes()
    fanout = fan_out(turns, slice_members=10)
    fanout.deliver(*inboxes.members(*(f"m{i}" for i in range(25))), "x", volatile=False)
    counts = []
    while turns.ready:
        turns.turn()
        counts.append(len(inboxes.received))
    assert counts == [10, 20, 25]
    assert not fanout.busy


def test_small_room_does_not_overtake_a_large_one() -> None:
    turns, inboxes = ManualLoop(), Inboxes()
    fanout = fan_out(turns, slice_members=2)
    fanout.deliver(*inboxes.members("a", "b", "c", "d"), "big", volatile=False)
    fanout.deliver(*inboxes.members("a"), "small", volatile=False)
    turns.run()
    assert inboxes.payloads("a") == ["big", "small"]


def test_flush_delivers_queued_broadcasts_once_before_a_direct_write() -> None:
    turns, inboxes = ManualLoop(), Inboxes()
    fanout = fan_out(turns, slice_members=1)
    fanout.deliver(*inboxes.members("a", "b"), "first", volatile=False)
    fanout.deliver(*inboxes.members("a", "b"), "second", volatile=False)
    fanout.flush_for("a")
    assert inboxes.payloads("a") == ["first", "second"]
    turns.run()
    assert inboxes.payloads("a") == ["first", "second"]
    assert inboxes.payloads("b") == ["first", "second"]


@given(
    slice_members=st.integers(1, 5),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("deliver"), st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)),
            st.tuples(st.just("direct"), st.sampled_from("abcdefgh")),
            st.tuples(st.just("turn"), st.just("")),
        ),
        max_size=30,
    ),
)
def test_every_member_gets_everything_once_and_in_order(
    slice_members: int, steps: list[tuple[str, list[str] | str]]
) -> None:
    turns, inboxes = ManualLoop(), Inboxes()
    fanout = fan_out(turns, slice_members=slice_members)
    expected: dict[str, list[str]] = {}
    for number, (kind, whom) in enumerate(steps):
        if kind == "turn":
            turns.turn()
            continue
        for sid in whom:
            expected.setdefault(sid, []).append(str(number))
        if kind == "deliver":
            fanout.deliver(*inboxes.members(*whom), str(number), volatile=False)
        else:
            fanout.flush_for(str(whom))
            inboxes.writer(str(whom))(str(number), volatile=False)
    turns.run()
    assert {sid: inboxes.payloads(sid) for sid in expected} == expected
    assert not fanout.busy


def test_member_that_left_before_its_slice_is_skipped() -> None:
    turns, inboxes = ManualLoop(), Inboxes()
    fanout = fan_out(turns, slice_members=1)
    sids, writers = inboxes.members("a", "b", "c")
    fanout.deliver(sids, writers, "x", volatile=False)
    del writers["b"]
    turns.run()
    assert inboxes.received == {"a": [("x", False)], "c": [("x", False)]}


def test_full_queue_writes_its_oldest_broadcast_and_drops_nothing() -> None:
    turns, inboxes = ManualLoop(), Inboxes()
    fanout = fan_out(turns, slice_members=1, max_deliveries=3)
    for number in range(10):
        fanout.deliver(*inboxes.members("a", "b"), str(number), volatile=False)
    assert inboxes.payloads("a") == [str(number) for number in range(7)]
    assert len(turns.ready) == 1
    turns.run()
    assert inboxes.payloads("b") == [str(number) for number in range(10)]
