"""`_watch`: what ends is started again, and a crash loop ends the demo. With real, tiny processes."""

import asyncio
import io
import itertools
import sys

import psutil
from rich.console import Console

from tests.support.cluster import process_environment
from tests.support.ports import free_port_block
from tests.support.timing import wait_until
from zmqio.demo import run


def child(program: str) -> run._Child:
    made = run._Child("node A", [sys.executable, "-c", program])
    made.start()
    return made


def test_crash_loop_ends_the_demo_and_says_why() -> None:
    output = io.StringIO()
    crashing = child("raise SystemExit(3)")
    clock = itertools.count(step=10)
    assert run._watch([crashing], Console(file=output, width=200), now=lambda: float(next(clock))) == 1
    assert f"has ended {run.MOST_RESTARTS + 1} times" in output.getvalue()
    assert "exit code 3" in output.getvalue()


def test_stop_ends_a_process_that_was_stopped_by_somebody() -> None:
    sleeping = child("import time; time.sleep(600)")
    sleeping.stop()
    sleeping.wait()
    assert sleeping.process is not None
    assert sleeping.process.returncode == -15


def test_ending_is_told_in_words() -> None:
    assert run._ending(-9) == "killed by SIGKILL"
    assert run._ending(1) == "exit code 1"


async def test_nothing_is_left_of_a_demo_that_is_killed() -> None:
    ports = ["--port", str(free_port_block(2)), "--broker-port", str(free_port_block(4))]
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "zmqio", "demo", *ports, env=process_environment(), stdout=asyncio.subprocess.DEVNULL
    )
    process = psutil.Process(demo.pid)
    try:
        await wait_until(lambda: len(process.children()) == 3, "the broker and two nodes")
        children = process.children()
    finally:
        demo.kill()
        await demo.wait()
    await wait_until(lambda: not any(map(runs, children)), "their end")


def runs(process: psutil.Process) -> bool:
    """Not ended, and not only waiting to be noticed by whoever has inherited it."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
