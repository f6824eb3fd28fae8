"""One timer calls a function at the times that the function chooses."""

from tests.support.timing import wait_until
from zmqio.cluster.ticker import Ticker

HOUR_S = 3_600.0


async def test_first_call_is_at_once_and_the_next_after_the_returned_time() -> None:
    calls: list[int] = []

    def tick() -> float:
        calls.append(len(calls))
        return 0.001 if len(calls) < 3 else HOUR_S

    ticker = Ticker(tick)
    ticker.start()
    assert calls == [0]
    await wait_until(lambda: calls == [0, 1, 2], "the third call")
    ticker.stop()


async def test_hasten_makes_the_next_call_earlier_and_never_later() -> None:
    calls: list[int] = []
    pauses = iter([HOUR_S, 0.001, HOUR_S])

    def tick() -> float:
        calls.append(1)
        return next(pauses)

    ticker = Ticker(tick)
    ticker.hasten(0)  # not started: no effect
    ticker.start()
    ticker.hasten(0.001)
    ticker.hasten(HOUR_S)
    await wait_until(lambda: len(calls) == 3, "the hastened call and the one after it")
    ticker.stop()


async def test_stop_within_a_call_ends_the_calls() -> None:
    calls: list[int] = []

    def tick() -> float:
        calls.append(1)
        if len(calls) == 2:
            ticker.stop()
        return 0.001

    ticker = Ticker(tick)
    ticker.start()
    await wait_until(lambda: len(calls) == 2, "the last call")
    seen: list[int] = []
    other = Ticker(lambda: seen.append(1) or 0.001)  # type: ignore[func-returns-value]
    other.start()
    await wait_until(lambda: len(seen) > 5, "other timers")
    other.stop()
    ticker.hasten(0)
    assert len(calls) == 2
