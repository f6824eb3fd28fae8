"""The reserve of descriptors, and its use by several processes' worth of limits."""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from zmqio.hosting.descriptor_reserve import DescriptorReserve


@contextmanager
def limited(files: int) -> Iterator[None]:
    """Lower this process's limit of open files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(("files", "first"), [(80, 70), (512, 448), (4_096, 4_032)])
def test_reserve_is_an_eighth_and_at_most_64(monkeypatch: pytest.MonkeyPatch, files: int, first: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    reserve = DescriptorReserve()
    assert [reserve.includes(number) for number in (first - 1, first)] == [False, True]
    assert [reserve.is_reached(number) for number in (first - 2, first - 1)] == [False, True]


def test_without_a_limit_nothing_is_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert not DescriptorReserve().includes(sys.maxsize // 2)


def test_reserve_is_untouched_until_the_other_descriptors_are_taken() -> None:
    with ExitStack() as files:
        lowest = os.open(os.devnull, os.O_RDONLY)
        files.callback(os.close, lowest)
        with limited(lowest + 200):
            reserve = DescriptorReserve()
            assert reserve.is_untouched()
            newest = lowest
            while not reserve.is_reached(newest):
                newest = os.open(os.devnull, os.O_RDONLY)
                files.callback(os.close, newest)
            assert not reserve.is_untouched()
        with limited(lowest + 1):
            assert not reserve.is_untouched()  # no descriptor at all is free
