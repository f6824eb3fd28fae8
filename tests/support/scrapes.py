"""Scrapes an address all the time, as Prometheus does, and checks that no counter decreases."""

import asyncio
import contextlib
import urllib.request
from collections.abc import Callable, Mapping
from types import TracebackType

from tests.support.prometheus import parse_values
from tests.support.timing import LIMIT_S, wait_until

__all__ = ["Scrapes", "scrape"]

PAUSE_S = 0.1


def scrape(url: str) -> dict[str, float]:
    """Return the values by name and labels; see `parse_values`."""
    with urllib.request.urlopen(url, timeout=LIMIT_S) as response:
        return parse_values(response.read().decode())


class Scrapes:
    """To be used as `async with`; the first scrape has been made then.

    Args:
        url: of the metrics.

    Attributes:
        values: of the last scrape.
    """

    def __init__(self, url: str) -> None:
        self.values: dict[str, float] = {}
        self._url = url
        self._decreased: list[str] = []

    async def __aenter__(self) -> "Scrapes":
        await self._scrape()
        self._task = asyncio.ensure_future(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if self._decreased:
            raise AssertionError(f"counters have decreased: {self._decreased}")

    def total(self, name: str) -> float:
        """The sum of a metric over all its labels."""
        return sum(value for key, value in self.values.items() if key.partition("{")[0] == name)

    async def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition on the values; a failure of the scrapes is raised."""
        await wait_until(lambda: self._task.done() or condition(), what)
        if self._task.done():
            self._task.result()

    async def wait_counters(self, part: str, expected: Mapping[str, float]) -> None:
        """Wait until counters have exactly these totals."""

        def found() -> dict[str, float]:
            return {name: self.total(f"{part}_{name}_total") for name in expected}

        try:
            await self.wait_for(lambda: found() == expected, "the counters")
        except AssertionError as error:
            raise AssertionError(f"{error}: {found()} instead of {expected}") from None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_S)
            await self._scrape()

    async def _scrape(self) -> None:
        values = await asyncio.to_thread(scrape, self._url)
        for name, value in self.values.items():
            if name.partition("{")[0].endswith("_total") and values.get(name, -1) < value:
                self._decreased.append(f"{name}: {value} to {values.get(name)}")
        self.values = values
