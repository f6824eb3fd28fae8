"""Runs one fuzz target for a time, and measures what some of its inputs cost."""

import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fuzz.mutate import Parts, mutate

__all__ = ["FuzzReport", "FuzzTarget", "fuzz"]

MEASURE_EVERY = 25
"""One of so many inputs is measured: measuring takes ten times as long as decoding."""
CALLS_PER_BYTE, CALLS_AT_LEAST = 40, 5_000
MEMORY_PER_BYTE, MEMORY_AT_LEAST = 250, 400_000
"""Most calls, and most bytes of memory at a time. An empty list takes 64 bytes, and one byte of msgpack."""
SLOW_S = 0.05


@dataclass(frozen=True, slots=True)
class FuzzTarget:
    """A decoder, with inputs that it accepts.

    Attributes:
        seeds: inputs to grow others from.
        run: decodes one input, and raises if it finds a fault. Returns whether the input was accepted.
    """

    seeds: Sequence[Parts]
    run: Callable[[Parts], bool]


@dataclass(slots=True)
class FuzzReport:
    """The result of one run.

    Attributes:
        inputs, accepted: numbers of inputs.
        slowest_s_per_byte, slowest: most CPU time per byte of an input that took over 50 ms, and this input.
    """

    inputs: int = 0
    accepted: int = 0
    slowest_s_per_byte: float = 0.0
    slowest: Parts = field(default_factory=list)


class FuzzError(AssertionError):
    """A fault, with the input that shows it."""


def fuzz(target: FuzzTarget, seconds: float, seed: int, most_inputs: int | None = None) -> FuzzReport:
    """Run the target on mutated seeds until the time is over.

    Raises:
        FuzzError: a decoder raised another error than documented, lost data, or worked more than in proportion.
    """
    rng, report = random.Random(seed), FuzzReport()
    end_s = time.monotonic() + seconds
    for parts in target.seeds:
        if not _run(target, list(parts), report):
            raise FuzzError(f"a seed is not accepted: {parts!r:.300}")
    while time.monotonic() < end_s and (most_inputs is None or report.inputs < most_inputs):
        parts = mutate(rng, target.seeds)
        if report.inputs % MEASURE_EVERY == 0:
            _measure(target, parts)
        _run(target, parts, report)
    return report


def _run(target: FuzzTarget, parts: Parts, report: FuzzReport) -> bool:
    start_s = time.thread_time()
    try:
        accepted = target.run(list(parts))
    except Exception as error:
        raise FuzzError(f"{type(error).__name__}: {error!s:.500}; input: {parts!r:.3000}") from error
    elapsed_s = time.thread_time() - start_s
    report.inputs += 1
    report.accepted += accepted
    per_byte = elapsed_s / (_size(parts) + 1)
    if elapsed_s > SLOW_S and per_byte > report.slowest_s_per_byte:
        report.slowest_s_per_byte, report.slowest = per_byte, parts
    return accepted


def _measure(target: FuzzTarget, parts: Parts) -> None:
    """Check that calls and memory are bounded by a multiple of the input's size."""
    calls, size = 0, _size(parts)

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    tracemalloc.start()
    sys.setprofile(count)
    try:
        target.run(list(parts))
    except Exception as error:
        raise FuzzError(f"{type(error).__name__}: {error!s:.500}; input: {parts!r:.3000}") from error
    finally:
        sys.setprofile(None)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    if calls > CALLS_AT_LEAST + CALLS_PER_BYTE * size:
        raise FuzzError(f"{calls} calls for {size} bytes; input: {parts!r:.3000}")
    if peak > MEMORY_AT_LEAST + MEMORY_PER_BYTE * size:
        raise FuzzError(f"{peak} bytes of memory for {size} bytes; input: {parts!r:.3000}")


def _size(parts: Parts) -> int:
    return sum(len(part) for part in parts)
