"""Without any of the extras, everything that needs none of them works."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
# The import names of what only extras bring.
EXTRAS = ("nacl", "opentelemetry", "prometheus_client", "rich", "socketio")
PROGRAM = f"""
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def run(code: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PROGRAM + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_all_public_names_can_be_imported() -> None:
    done = run("import zmqio, zmqio.uvicorn, zmqio.testing\nfor name in zmqio.__all__: getattr(zmqio, name)")
    assert done.returncode == 0, done.stderr


def test_every_command_shows_its_help() -> None:
    code = (
        "from click.testing import CliRunner\nfrom zmqio.cli import main\n"
        "for name in ('', *main.commands):\n"
        "    result = CliRunner().invoke(main, [*name.split(), '--help'], catch_exceptions=False)\n"
        "    assert result.exit_code == 0, (name, result.output)\n"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("extra", sorted(set(PROJECT["optional-dependencies"]) - {"dev", "docs"}))
def test_no_extra_repeats_a_dependency(extra: str) -> None:
    required = {requirement.split(">=")[0] for requirement in PROJECT["dependencies"]}
    assert not required & {requirement.split(">=")[0] for requirement in PROJECT["optional-dependencies"][extra]}
