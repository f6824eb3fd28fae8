"""The code of README and of the pages about its steps, extracted and run."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import socketio

from tests.support.broker import BrokerProcess
from tests.support.example_server import is_ready
from tests.support.pages import ROOT, commands_of, files_of
from tests.support.ports import free_port
from tests.support.timing import LIMIT_S, wait_until

README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
HOST = "127.0.0.1"


PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "serve.md",
    ROOT / "docs" / "server-api.md",
    ROOT / "docs" / "publishing.md",
]


def files() -> dict[str, str]:
    """The files that the pages ask to save or show, by name."""
    return {name: text for page in PAGES for name, text in files_of(page).items()}


def commands(start: str) -> list[str]:
    """The shell lines of the pages that begin with `start`, without their comments."""
    return [line for page in PAGES for line in commands_of(page, start)]


class Host:
    """A folder with the pages' files in it, the broker's address in them, and the processes started there."""

    def __init__(self, folder: Path, broker: str) -> None:
        self.folder = folder
        self.broker = broker
        self._processes: list[subprocess.Popen[bytes]] = []
        ingest = f"tcp://{HOST}:{int(broker.rsplit(':', 1)[1]) + 3}"
        (folder / "index.html").write_bytes((ROOT / "examples" / "chat" / "index.html").read_bytes())
        for name, text in files().items():
            here = text.replace(f"tcp://{HOST}:5555", broker).replace(f"tcp://{HOST}:5558", ingest)
            (folder / name).write_text(here)

    def start(self, command: str) -> None:
        program, *arguments = command.split()
        self._processes.append(subprocess.Popen([str(BIN / program), *arguments], cwd=self.folder))

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False)

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(LIMIT_S)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    with BrokerProcess() as broker:
        made = Host(tmp_path, broker.address)
        yield made
        await asyncio.to_thread(made.stop)


async def connect(port: int, received: list[Any]) -> socketio.AsyncClient:
    client = socketio.AsyncClient(reconnection=False, request_timeout=LIMIT_S)
    client.on("chat message", received.append)

    async def try_once() -> bool:
        try:
            await client.connect(f"http://{HOST}:{port}", wait_timeout=LIMIT_S)
        except socketio.exceptions.ConnectionError:
            return False
        return True

    for _ in range(int(LIMIT_S * 10)):
        if await try_once():
            return client
        await asyncio.sleep(0.1)
    raise AssertionError(f"nothing answers on port {port}")


async def test_three_moves(host: Host) -> None:
    assert commands("zmqio broker") == ["zmqio broker"]  # the fixture runs the same on a free port
    ports = []
    for command in commands("uvicorn chat:app"):
        ports.append(free_port())
        host.start(re.sub(r"--port \d+", f"--port {ports[-1]}", command))
    assert len(ports) == 2
    for port in ports:
        await wait_until(lambda port=port: is_ready(port), f"the node on port {port}")
    received: list[list[Any]] = [[], []]
    clients = [await connect(port, received[number]) for number, port in enumerate(ports)]
    try:
        assert await clients[0].call("chat message", "hello", timeout=LIMIT_S) == "delivered"
        await wait_until(lambda: received[0] and received[1], "the clients of both nodes receive it")
        assert received[0] == received[1] == [{"from": clients[0].get_sid(), "text": "hello"}]
        published = await asyncio.to_thread(host.run, sys.executable, "publish.py")
        assert (published.returncode, published.stderr) == (0, "")
        await wait_until(lambda: len(received[0]) == len(received[1]) == 2, "both receive from the publisher")
        assert received[0][1] == received[1][1] == {"text": "from a worker"}
        plain = await asyncio.to_thread(host.run, sys.executable, "plain.py")
        assert (plain.returncode, plain.stderr) == (0, "")
        await wait_until(lambda: len(received[0]) == len(received[1]) == 3, "both receive from the plain sender")
        options = ["--adapter", host.broker, "--timeout", str(LIMIT_S), "--to", "lobby"]
        emit = ["emit", *options, "chat message", '{"text": "from the shell"}']
        assert (await asyncio.to_thread(host.run, str(BIN / "zmqio"), *emit)).returncode == 0
        await wait_until(lambda: len(received[0]) == len(received[1]) == 4, "both receive from the shell")
    finally:
        for client in clients:
            await client.disconnect()


async def test_serve_keeps_a_session_with_its_worker(host: Host) -> None:
    (command,) = commands("zmqio serve")
    port = free_port()
    host.start(command.replace("127.0.0.1:8000", f"{HOST}:{port}"))
    client = await connect(port, [])
    try:
        answers = [await client.call("whoami", timeout=LIMIT_S) for _ in range(3)]
    finally:
        await client.disconnect()
    assert answers == [answers[0]] * 3


async def test_plain_sender_without_a_broker_is_an_error(host: Host) -> None:
    path = host.folder / "plain.py"
    path.write_text(re.sub(r"tcp://[\d.]+:\d+", f"tcp://{HOST}:{free_port()}", path.read_text()))
    result = await asyncio.to_thread(host.run, sys.executable, "plain.py")
    assert result.returncode != 0
    assert "zmq.error.Again" in result.stderr


async def test_adapter_of_ones_own_counts_and_delivers(host: Host) -> None:
    program = (
        "import asyncio, counting\n"
        "async def main():\n"
        "    async with counting.io as io:\n"
        "        await io.to('a').emit('x')\n"
        "        await io.emit('x')\n"
        "asyncio.run(main())\n"
        "print(dict(counting.CountingAdapter.sent))\n"
    )
    result = await asyncio.to_thread(host.run, sys.executable, "-c", program)
    assert result.returncode == 0, result.stderr
    assert "{'a': 1, '(everybody)': 1}" in result.stdout


def test_readme_and_ci_run_the_same_test_command() -> None:
    marked = re.search(r"<!-- test-command -->\n```sh\n(.*?)\n```", README, re.S)
    assert marked is not None
    assert marked[1].endswith(".venv/bin/pytest -n auto")
    assert "test-command" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("example", ["chat/chat.py", "fastapi/app.py", "custom_adapter/counting.py"])
def test_example_imports(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "examples" / example
    program = f"import runpy; assert runpy.run_path({str(path)!r})['app']"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
