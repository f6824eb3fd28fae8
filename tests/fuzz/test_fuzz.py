"""Every decoder that strangers reach, fuzzed for a short time: documented errors only, and work in proportion.

Half a second each; CI also runs ten seconds each: `python -m tests.fuzz --seconds 10 --processes 2`.
"""

import random

import pytest

from tests.fuzz.drive import FuzzError, FuzzTarget, fuzz
from tests.fuzz.mutate import MAX_PART, Parts, mutate
from tests.fuzz.targets import all_targets

SECONDS = 0.5
TARGETS = all_targets()
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.mark.parametrize("name", TARGETS)
def test_decoder_survives_mutated_inputs(name: str) -> None:
    report = fuzz(TARGETS[name], SECONDS, random.randrange(1 << 32))
    assert 0 < report.accepted < report.inputs


def test_an_undocumented_error_is_a_fault() -> None:
    def decode(parts: Parts) -> bool:
        assert all(part == "seed" for part in parts)
        return True

    with pytest.raises(FuzzError, match="input: "):
        fuzz(FuzzTarget([["seed"]], decode), 60, 1)


def test_work_out_of_proportion_is_a_fault() -> None:
    def decode(parts: Parts) -> bool:
        size = sum(map(len, parts))
        for _ in range(min(size * size, 200_000)):
            len(parts)
        return True

    with pytest.raises(FuzzError, match="calls for"):
        fuzz(FuzzTarget([["seed" * 100]], decode), 60, 1)


def test_inputs_are_bounded() -> None:
    rng = random.Random(1)
    inputs = [mutate(rng, [["[1]", b"\x91\x01"]]) for _ in range(2_000)]
    assert max(len(part) for parts in inputs for part in parts) <= MAX_PART
    assert len({repr(parts) for parts in inputs}) > 1_000
