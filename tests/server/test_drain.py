"""`Drain`: everybody goes once, spread over the time, or at once when there is no more time."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.timing import LIMIT_S, wait_until
from zmqio.server import drain as drain_module
from zmqio.server.drain import Drain, departure_times

FOR_EVER_S = 10_000.0


class Guest:
    """Writes down how often it had to go, and why."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.has_gone = False

    def close_gracefully(self, reason: str) -> None:
        self.reasons.append(reason)
        self.has_gone = True


async def nobody_is_left(guests: Sequence[Guest]) -> None:
    await wait_until(lambda: all(guest.has_gone for guest in guests), "all of them to go")


@given(st.integers(0, 500), st.floats(1e-3, 1e6), st.integers())
def test_departures_are_in_order_one_in_each_equal_part_of_the_time(count: int, over_s: float, seed: int) -> None:
    times = departure_times(count, over_s, Random(seed))
    assert len(times) == count
    assert times == sorted(times)
    for index, after_s in enumerate(times):
        assert index * over_s / count <= after_s * (1 + 1e-9)
        assert after_s <= (index + 1) * over_s / count * (1 + 1e-9)


def test_departures_of_two_drains_are_no_beat() -> None:
    assert departure_times(10, 1.0, Random(1)) != departure_times(10, 1.0, Random(2))


async def test_everybody_goes_once_with_the_reason() -> None:
    guests = [Guest() for _ in range(500)]
    await Drain(guests, 0.05).run("closing time", nobody_is_left(guests))
    assert [guest.reasons for guest in guests] == [["closing time"]] * 500


async def test_nobody_has_to_go_early_and_hurry_lets_all_go_at_once() -> None:
    guests = [Guest() for _ in range(3)]
    drain = Drain(guests, FOR_EVER_S, Random(1))
    running = asyncio.ensure_future(drain.run("closing time", nobody_is_left(guests)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert [guest.reasons for guest in guests] == [[]] * 3
    drain.finish_now()
    await asyncio.wait_for(running, LIMIT_S)
    assert [guest.reasons for guest in guests] == [["closing time"]] * 3


async def test_order_is_not_that_of_arrival() -> None:
    order: list[int] = []

    class Numbered(Guest):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

        def close_gracefully(self, reason: str) -> None:
            super().close_gracefully(reason)
            order.append(self.number)

    guests = [Numbered(number) for number in range(100)]
    await Drain(guests, 0.01, Random(3)).run("closing time", nobody_is_left(guests))
    assert sorted(order) == list(range(100)) != order


async def test_loop_turns_while_many_go_at_once() -> None:
    guests = [Guest() for _ in range(1_000)]
    drain = Drain(guests, FOR_EVER_S)
    drain.finish_now()
    running = asyncio.ensure_future(drain.run("closing time", nobody_is_left(guests)))
    await asyncio.sleep(0)
    gone = sum(len(guest.reasons) for guest in guests)
    assert 0 < gone < 1_000
    await wait_until(running.done, "all of them")


@pytest.mark.parametrize("count", [0, 1])
async def test_few_or_none_are_no_special_case(count: int) -> None:
    guests = [Guest() for _ in range(count)]
    await Drain(guests, 0.01).run("closing time", nobody_is_left(guests))
    assert [guest.reasons for guest in guests] == [["closing time"]] * count


async def test_drain_is_over_when_all_have_gone_by_themselves() -> None:
    guest = Guest()
    running = asyncio.ensure_future(Drain([guest], FOR_EVER_S).run("closing time", nobody_is_left([guest])))
    await asyncio.sleep(0)
    guest.has_gone = True
    await asyncio.wait_for(running, LIMIT_S)


async def test_who_does_not_go_is_not_awaited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain_module, "FETCH_GRACE_S", 0.01)

    class Stubborn(Guest):
        def close_gracefully(self, reason: str) -> None:
            self.reasons.append(reason)

    guests = [Stubborn() for _ in range(2)]
    await asyncio.wait_for(Drain(guests, 0.01).run("closing time", nobody_is_left(guests)), LIMIT_S)
    assert [guest.reasons for guest in guests] == [["closing time"]] * 2
