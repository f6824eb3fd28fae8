"""Whether a process of this machine has ended."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.timing import LIMIT_S
from zmqio.cluster import processes
from zmqio.cluster.processes import has_ended, machine_id

COMMAND = [sys.executable, "-c", "input()"]
linux_only = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


def test_own_process_runs() -> None:
    assert not has_ended(os.getpid())


@linux_only
def test_killed_process_has_ended_even_before_its_parent_has_read_the_exit_code() -> None:
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE)
    assert not has_ended(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert has_ended(process.pid)
    process.communicate(timeout=LIMIT_S)
    assert has_ended(process.pid)


@pytest.mark.parametrize("pid", [-1, 0, 2**40])
def test_forged_process_id_is_harmless(pid: int) -> None:
    has_ended(pid)


@linux_only
def test_processes_of_one_machine_have_the_same_machine_id() -> None:
    code = "from zmqio.cluster.processes import machine_id; print(machine_id())"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT_S, check=True
    )
    assert output.stdout.strip() == machine_id()
    assert len(machine_id()) == 16


def test_machine_is_unknown_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "PID_NAMESPACE", tmp_path / "missing")
    assert machine_id() == ""
