"""Stopping real, tiny processes."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process

import pytest

from tests.support.timing import LIMIT_S
from zmqio.launcher.process_exit import describe_exit, stop_process

IGNORES_SIGTERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
)


async def start(program: str) -> Process:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=PIPE)
    assert process.stdout is not None
    await process.stdout.readline()
    return process


async def test_process_exits_after_sigterm() -> None:
    process = await start("import time; print(1, flush=True); time.sleep(600)")
    assert await stop_process(process, LIMIT_S)
    assert process.returncode == -signal.SIGTERM
    assert await stop_process(process, LIMIT_S)


async def test_process_that_ignores_sigterm_is_killed() -> None:
    process = await start(IGNORES_SIGTERM)
    assert not await stop_process(process, 0.05)
    assert process.returncode == -signal.SIGKILL


async def test_suspended_process_is_stopped() -> None:
    process = await start("import time; print(1, flush=True); time.sleep(600)")
    process.send_signal(signal.SIGSTOP)
    assert await stop_process(process, LIMIT_S)


@pytest.mark.parametrize(
    ("code", "words"),
    [(None, "still running"), (0, "exit code 0"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99")],
)
def test_exit_codes_are_described(code: int | None, words: str) -> None:
    assert describe_exit(code) == words
