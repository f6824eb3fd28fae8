"""The options of `zmqio top` and `zmqio status`, and what the commands load."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from zmqio.cli import main


@pytest.mark.parametrize("arguments", [["top", "--json"], ["top", "redis://x"], ["status", "--nodes", "-1"]])
def test_wrong_options_exit_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2


def test_table_without_rich_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqio.top.commands.find_spec", lambda _: None)
    done = CliRunner().invoke(main, ["top", "tcp://127.0.0.1:1", "--once"])
    assert done.exit_code == 2
    assert "pip install zmqio[top]" in done.output


def test_other_commands_do_not_load_the_observer() -> None:
    program = "import sys, zmqio.cli; print([name for name in sys.modules if name.startswith('zmqio.top.')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "['zmqio.top.commands']\n"
