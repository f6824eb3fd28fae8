"""Measures how long the event loop is blocked; runs in the server under test."""

import asyncio
import time

__all__ = ["LoopProbe"]


class LoopProbe:
    """Runs in every turn of the loop and records the longest time between two turns.

    Args:
        watch_s: seconds to measure, during which the loop spins.
    """

    def __init__(self, watch_s: float = 0.4) -> None:
        self._watch_s = watch_s
        self._longest_s = 0.0
        self._longest_cpu_s = 0.0

    @property
    def result_ms(self) -> list[float]:
        """[longest turn, most CPU of one turn] in ms. Other processes on the core lengthen only the first."""
        return [round(self._longest_s * 1e3, 3), round(self._longest_cpu_s * 1e3, 3)]

    async def run(self) -> None:
        """Measure."""
        began = before = time.perf_counter()
        cpu_before = time.thread_time()
        while before - began < self._watch_s:
            await asyncio.sleep(0)
            now, cpu_now = time.perf_counter(), time.thread_time()
            self._longest_s = max(self._longest_s, now - before)
            self._longest_cpu_s = max(self._longest_cpu_s, cpu_now - cpu_before)
            before, cpu_before = now, cpu_now
