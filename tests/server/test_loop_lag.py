"""A blocked event loop is seen."""

import time
from collections import Counter

from tests.support.timing import wait_until
from zmqio.server.loop_lag import LoopLag


async def test_blocked_loop_counts_as_lag() -> None:
    counters: Counter[str] = Counter()
    lag = LoopLag(counters, 0.01)
    lag.start()
    time.sleep(0.1)  # noqa: ASYNC251 - blocks the loop on purpose
    await wait_until(lambda: counters["loop_lag_checks"] >= 1, "a measurement")
    lag.stop()
    assert counters["loop_lag_microseconds"] >= 80_000


async def test_stop_ends_the_measurements() -> None:
    counters: Counter[str] = Counter()
    lag = LoopLag(counters, 0.001)
    lag.start()
    await wait_until(lambda: counters["loop_lag_checks"] >= 2, "two measurements")
    lag.stop()
    lag.stop()
    checks = counters["loop_lag_checks"]
    time.sleep(0.005)  # noqa: ASYNC251
    await wait_until(lambda: True, "one turn of the loop")
    assert counters["loop_lag_checks"] == checks
