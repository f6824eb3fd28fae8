"""Without any of the extras, everything that needs none of them works."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
# The import names of what only extras bring.
EXTRAS = (
    *("httptools", "uvicorn", "uvloop", "watchfiles", "websockets"),
    *("nacl", "opentelemetry", "prometheus_client", "rich", "socketio"),
)
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
    done = run("import zmqio, zmqio.testing\nfor name in zmqio.__all__: getattr(zmqio, name)")
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


def test_a_program_that_publishes_loads_no_server() -> None:
    done = run("import zmqio\nzmqio.Emitter().close()\nprint('engineio' in sys.modules)")
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_commands_that_need_the_web_server_say_how_to_install_it(command: str) -> None:
    arguments = [command, *(["app:app"] if command == "serve" else [])]
    done = run(f"from zmqio.cli import main\nmain({arguments!r})")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"Error: zmqio {command} needs the web server (not installed: uvicorn, httptools, websockets); "
        "run: pip install 'zmqio[server]'\n"
    )


def test_protocol_classes_say_how_to_install_what_they_need() -> None:
    done = run("import zmqio.uvicorn")
    assert done.stderr.endswith("; run: pip install 'zmqio[server]'\n")


def test_a_server_answers_in_a_test_without_the_web_server() -> None:
    code = (
        "import asyncio, zmqio\nfrom zmqio.testing import TestClient\nio = zmqio.Server(None)\n"
        "@io.on('ping me')\nasync def answer(socket, text):\n    return text\n"
        "async def main():\n"
        "    async with TestClient(io) as client:\n        print(await client.call('ping me', 'hello'))\n"
        "    await io.close()\n"
        "asyncio.run(main())\n"
    )
    done = run(code)
    assert "hello\n" in done.stdout, done.stderr


@pytest.mark.parametrize("extra", sorted(set(PROJECT["optional-dependencies"]) - {"dev", "docs"}))
def test_no_extra_repeats_a_dependency(extra: str) -> None:
    required = {requirement.split(">=")[0] for requirement in PROJECT["dependencies"]}
    assert not required & {requirement.split(">=")[0] for requirement in PROJECT["optional-dependencies"][extra]}
