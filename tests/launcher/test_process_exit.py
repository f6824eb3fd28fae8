"""How processes are ended. With real, tiny ones."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process

import pytest

from tests.support.timing import LIMIT_S
from zmqio.launcher.process_exit import describe_exit, stop_process

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"


async def start(program: str) -> Process:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=PIPE)
    assert process.stdout is not None
    await process.stdout.readline()
    return process


async def test_process_that_listens_ends_by_itself() -> None:
    process = await start("import time; print(1, flush=True); time.sleep(600)")
    assert await stop_process(process, LIMIT_S)
    assert process.returncode == -signal.SIGTERM
    assert await stop_process(process, LIMIT_S)


async def test_process_that_does_not_listen_is_killed() -> None:
    process = await start(DEAF)
    assert not await stop_process(process, 0.05)
    assert process.returncode == -signal.SIGKILL


async def test_process_that_somebody_stopped_hears_it_too() -> None:
    process = await start("import time; print(1, flush=True); time.sleep(600)")
    process.send_signal(signal.SIGSTOP)
    assert await stop_process(process, LIMIT_S)


@pytest.mark.parametrize(
    ("code", "words"),
    [(None, "still running"), (0, "exit code 0"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99")],
)
def test_ending_in_words(code: int | None, words: str) -> None:
    assert describe_exit(code) == words
