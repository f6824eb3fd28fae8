"""Tests of `zmqio.cluster.process_watch`."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from tests.support.timing import wait_until
from zmqio.cluster.process_watch import ProcessWatch
from zmqio.ids import NodeId

PEER, OTHER = NodeId("tag2BBBBBBBBBBB"), NodeId("tag3CCCCCCCCCCC")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has descriptors of processes")


def start_process() -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def open_descriptors() -> int:
    """How many descriptors of processes this process has; others may come and go."""
    links = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return links.count("anon_inode:[pidfd]")


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_end_of_a_process_is_reported_once(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def run() -> list[NodeId]:
        ended: list[NodeId] = []
        watch = ProcessWatch(ended.append)
        with start_process() as process:
            watch.add(PEER, process.pid)
            watch.add(PEER, process.pid)  # the node has joined again
            process.kill()
            await wait_until(lambda: ended, "the end")
        watch.close()
        return ended

    with asyncio.Runner(loop_factory=make_loop) as runner:
        assert runner.run(run()) == [PEER]


@pytest.mark.parametrize("stop", [lambda watch: watch.remove(PEER), lambda watch: watch.close()])
async def test_process_that_is_no_longer_watched_is_not_reported(stop: Callable[[ProcessWatch], None]) -> None:
    ended: list[NodeId] = []
    before = open_descriptors()
    watch, witness = ProcessWatch(ended.append), ProcessWatch(ended.append)
    with start_process() as process:
        watch.add(PEER, process.pid)
        witness.add(OTHER, process.pid)
        assert open_descriptors() == before + 2
        stop(watch)
        process.kill()
        await wait_until(lambda: ended, "the end")
    assert ended == [OTHER]
    assert open_descriptors() == before


@pytest.mark.parametrize("pid", [os.getpid(), 0, -1, 1 << 40, 1 << 70], ids=["own", "0", "-1", "2^40", "2^70"])
async def test_other_numbers_are_ignored(pid: int) -> None:
    ended: list[NodeId] = []
    watch = ProcessWatch(ended.append)
    watch.add(PEER, pid)
    watch.remove(PEER)
    watch.close()
    assert ended == []
