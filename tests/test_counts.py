"""`Counts`: a `Counter` without the slow part."""

from collections import Counter

import pytest

from zmqio.counts import Counts


def test_counts_from_zero_as_a_counter_does() -> None:
    counts = Counts()
    counts["a"] += 1
    counts["a"] += 2
    assert counts["b"] == 0
    assert counts == Counter(a=3) == Counts(a=3)
    assert list(counts) == ["a"]


def test_missing_name_cannot_be_deleted() -> None:
    counts = Counts(a=1)
    del counts["a"]
    with pytest.raises(KeyError):
        del counts["a"]
