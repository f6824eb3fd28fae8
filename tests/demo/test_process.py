"""A process of the demo, with real, tiny processes."""

import os
import subprocess
import sys

import pytest

from tests.support.cluster import process_environment
from tests.support.timing import LIMIT_S
from zmqio.demo.process import MAX_CRASHES, QUICK_CRASH_S, DemoProcess, describe_exit


def started(program: str) -> DemoProcess:
    process = DemoProcess("node A", [sys.executable, "-c", program])
    process.start(0.0)
    return process


def test_suspended_process_is_stopped() -> None:
    sleeping = started("import os, signal, time; os.kill(os.getpid(), signal.SIGSTOP); time.sleep(600)")
    assert sleeping.process is not None
    os.waitid(os.P_PID, sleeping.process.pid, os.WSTOPPED | os.WNOWAIT)
    sleeping.stop()
    sleeping.wait()
    assert sleeping.process.returncode == -15


def test_last_errors_are_kept_and_copied(capfd: pytest.CaptureFixture[str]) -> None:
    process = started("import sys; print('first', file=sys.stderr); raise SystemExit('the reason')")
    process.wait()
    assert process.last_errors() == ["first", "the reason"]
    assert capfd.readouterr().err == "first\nthe reason\n"


def test_errors_of_an_earlier_run_are_forgotten() -> None:
    process = started("raise SystemExit('the reason')")
    process.wait()
    process.start(0.0)
    process.wait()
    assert process.last_errors() == ["the reason"]


def test_only_quick_crashes_in_a_row_are_too_many() -> None:
    process = DemoProcess("node A", ["true"])
    quick, slow = QUICK_CRASH_S - 1, QUICK_CRASH_S
    assert [process.crashed_too_often(quick) for _ in range(MAX_CRASHES - 1)] == [False] * (MAX_CRASHES - 1)
    assert not process.crashed_too_often(slow)
    assert [process.crashed_too_often(quick) for _ in range(MAX_CRASHES)] == [False] * (MAX_CRASHES - 1) + [True]


def test_exit_codes_are_described() -> None:
    assert describe_exit(-9) == "killed by SIGKILL"
    assert describe_exit(1) == "exit code 1"


OPEN_STREAMS = """
import os
from zmqio.demo.process import open_standard_streams
open_standard_streams()
with open("/dev/null") as file:
    assert file.fileno() > 2, file.fileno()
assert all(os.get_inheritable(fd) for fd in range(3))
"""


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "0<&- 1>&-"])
def test_closed_standard_streams_are_opened(closed: str) -> None:
    command = ["sh", "-c", f'exec "$0" "$@" {closed}', sys.executable, "-c", OPEN_STREAMS]
    done = subprocess.run(
        command, env=process_environment(), stderr=subprocess.PIPE, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr


def test_line_for_a_process_that_has_ended_is_dropped() -> None:
    process = DemoProcess("node A", [sys.executable, "-c", ""])
    process.start(0.0)
    assert process.process is not None
    process.process.wait(LIMIT_S)
    process.write_line("4321")
    process.close_pipes()
    process.write_line("4321")


def test_line_reaches_a_process() -> None:
    process = DemoProcess("node A", [sys.executable, "-c", "assert input() == '4321'"])
    process.start(0.0)
    process.write_line("4321")
    assert process.process is not None
    assert process.process.wait(LIMIT_S) == 0
    process.close_pipes()
