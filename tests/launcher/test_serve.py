"""Errors of `zmqio.serve`."""

import subprocess
import sys
from pathlib import Path

import pytest

import zmqio
from tests.support.cluster import process_environment
from tests.support.timing import LIMIT_S


def test_unknown_option_is_rejected() -> None:
    with pytest.raises(zmqio.ConfigError, match="wrokers"):
        zmqio.serve("chat:app", wrokers=2)


def test_app_object_is_rejected_with_the_reason() -> None:
    with pytest.raises(zmqio.ConfigError, match="every worker is a new process"):
        zmqio.serve(zmqio.Server().asgi())  # type: ignore[arg-type]


def test_call_without_a_main_guard_is_rejected_with_the_remedy(tmp_path: Path) -> None:
    program = tmp_path / "unguarded.py"
    program.write_text(
        "import zmqio\napp = zmqio.Server().asgi()\nzmqio.serve('unguarded:app', bind='127.0.0.1:0')\n"
    )
    result = subprocess.run(
        [sys.executable, program],
        env=process_environment(),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert result.returncode == 1
    assert "put the call under `if __name__ == '__main__':`" in result.stderr
