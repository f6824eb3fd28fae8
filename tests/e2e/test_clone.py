"""README's commands in the folder above a clone that `git clone` has called `zmqio`.

Python looks for modules in the current folder first, and finds a folder `zmqio` there that is no package. The
installed package has to win. The clone is installed with `--no-deps` into an environment that sees the packages of
this one: only the build backend is fetched.
"""

import asyncio
import re
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
import socketio

from tests.e2e.test_readme import commands, files
from tests.support.broker import BrokerProcess
from tests.support.cluster import process_environment
from tests.support.ports import free_port, free_port_block
from tests.support.timing import LIMIT_S
from tests.support.tools import missing, require

ROOT = Path(__file__).parents[2]
INSTALL_LIMIT_S = 6 * LIMIT_S


class Clone:
    """A clone of HEAD, installed into an environment of its own.

    Attributes:
        above: the folder in which `git clone` was run.
        environment: of all commands; it names no path of the working tree.
    """

    def __init__(self, above: Path) -> None:
        self.above = above
        self.environment = {name: value for name, value in process_environment().items() if name != "PYTHONPATH"}
        self._bin = above / "zmqio" / ".venv" / "bin"

    def install(self) -> None:
        """Install as README says, without dependencies: those of this test run are used."""
        # An archive of a folder that is no repository has no HEAD to clone.
        cloned = subprocess.run(
            [require("git"), "clone", "-q", str(ROOT), "zmqio"], cwd=self.above, capture_output=True, check=False
        )
        if cloned.returncode != 0:
            missing("a git repository", cloned.stderr.decode()[-300:])
        clone = self.above / "zmqio"
        self.run(sys.executable, "-m", "venv", ".venv", folder=clone)
        site = Path(sysconfig.get_path("purelib", vars={"base": str(clone / ".venv")}))
        (site / "packages_of_the_test_run.pth").write_text(
            "\n".join(path for path in sys.path if path.endswith("-packages"))
        )
        options = ["-q", "--no-deps", "--disable-pip-version-check"]
        self.run(self.program("pip"), "install", *options, "-e", ".", folder=clone)

    def program(self, name: str) -> str:
        """The path of a program of its environment."""
        return str(self._bin / name)

    def run(self, *command: str, folder: Path | None = None) -> str:
        """Run a command above the clone, or in `folder`; returns its output."""
        done = subprocess.run(
            command,
            cwd=folder or self.above,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout}"
        return done.stdout

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a command above the clone."""
        return subprocess.Popen(
            command,
            cwd=self.above,
            env=self.environment | {"COLUMNS": "120", "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    made = Clone(tmp_path_factory.mktemp("above"))
    made.install()
    return made


@pytest.fixture
def chat(clone: Clone) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """README's chat.py as README starts it, on free ports."""
    with BrokerProcess() as broker:
        text = files()["chat.py"].replace("tcp://127.0.0.1:5555", broker.address)
        (clone.above / "chat.py").write_text(text)
        (clone.above / "index.html").write_text("page")
        port = free_port()
        program, *arguments = re.sub(r"--port \d+", f"--port {port}", commands("uvicorn chat:app")[0]).split()
        # By `-m`: the environment has zmqio's own programs, and those of its dependencies lie elsewhere.
        process = clone.start(clone.program("python"), "-m", program, *arguments)
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.terminate()
            process.communicate(timeout=LIMIT_S)


def test_import_finds_the_package_above_the_clone(clone: Clone) -> None:
    output = clone.run(clone.program("python"), "-c", "import zmqio; print(zmqio.__file__, zmqio.Server)")
    assert output.startswith(str(clone.above / "zmqio" / "zmqio" / "__init__.py"))


def test_demo_comes_up_and_stops_above_the_clone(clone: Clone) -> None:
    ports = ["--port", str(free_port()), "--broker-port", str(free_port_block(4))]
    demo = clone.start(clone.program("zmqio"), "demo", *ports)
    try:
        assert demo.stdout is not None
        output = ""
        for line in demo.stdout:
            output += line
            if "Ctrl-C stops everything" in line:
                break
        assert len(re.findall(r"http://127\.0\.0\.1:\d+\s+node \w", output)) == 2, output
    finally:
        demo.send_signal(signal.SIGINT)
        rest, _ = demo.communicate(timeout=2 * LIMIT_S)
    assert demo.returncode == 0, output + rest


async def test_chat_of_the_readme_serves_above_the_clone(chat: tuple[str, "subprocess.Popen[str]"]) -> None:
    url, process = chat
    client = socketio.AsyncClient(reconnection=False, request_timeout=LIMIT_S)
    ends_at = asyncio.get_running_loop().time() + LIMIT_S
    while True:
        try:
            await client.connect(url, wait_timeout=LIMIT_S)
        except socketio.exceptions.ConnectionError:
            assert process.poll() is None, process.communicate()[0]
            assert asyncio.get_running_loop().time() < ends_at
            await asyncio.sleep(0.1)
        else:
            break
    try:
        assert await client.call("chat message", "hello", timeout=LIMIT_S) == "delivered"
    finally:
        await client.disconnect()
