"""`Watch`: when a node reports, with the intervals shortened."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.timing import LIMIT_S, wait_until
from zmqio.server.admin import watch as module
from zmqio.server.admin.watch import Watch


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "INTERVAL_S", 0.01)
    monkeypatch.setattr(module, "LASTS_S", 0.1)
    yield


def watching() -> tuple[Watch, list[str]]:
    calls: list[str] = []
    return Watch(lambda: calls.append("begin"), lambda: calls.append("report"), lambda: calls.append("end")), calls


async def test_nothing_is_called_before_somebody_looks() -> None:
    watch, calls = watching()
    await asyncio.sleep(0)
    watch.stop()
    assert calls == []
    assert not watch.active


async def test_reports_from_the_first_look_until_nobody_has_looked_for_a_while() -> None:
    watch, calls = watching()
    watch.extend()
    assert calls == ["begin", "report"]
    await wait_until(lambda: not watch.active, "the end")
    assert calls[-1] == "end"
    assert set(calls[1:-1]) == {"report"}


async def test_each_look_extends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LASTS_S", LIMIT_S)
    watch, calls = watching()
    watch.extend()
    for _ in range(5):
        count = calls.count("report")
        await wait_until(lambda count=count: calls.count("report") > count, "the next report")
        watch.extend()
    assert calls.count("begin") == 1
    watch.stop()
    assert calls[-1] == "end"


async def test_it_can_begin_again() -> None:
    watch, calls = watching()
    watch.extend()
    watch.stop()
    watch.extend()
    watch.stop()
    assert calls == ["begin", "report", "end"] * 2
