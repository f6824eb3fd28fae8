"""Hostile text in the log, and a log that cannot be written: neither stops a node, on any host."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

import httpx
import psutil
import pytest

from tests.support.broker import ask_control
from tests.support.cluster import process_environment
from tests.support.forked import Process, is_broker, start
from tests.support.ports import free_port, free_port_block
from tests.support.py_clients import PyClient
from tests.support.serve_process import ServeProcess
from tests.support.timing import LIMIT_S, wait_until
from tests.support.zygote import children_of, is_alive

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).parents[2]
APP = """
import zmqio

io = zmqio.Server(adapter=None)
app = io.asgi()


@io.on("connect")
async def connect(socket, auth):
    if auth and auth.get("fail"):
        raise ValueError("connect on purpose")


@io.on("fail")
async def fail(socket, *args):
    raise ValueError("on purpose")


@io.on("echo")
async def echo(socket, value):
    return value
"""
WAYS = {
    "uvicorn": ["-m", "uvicorn", "own_app:app", "--port", "{port}", "--no-access-log"],
    "classes": [
        *("-m", "uvicorn", "own_app:app", "--port", "{port}"),
        *("--ws", "zmqio.uvicorn:WebSocketProtocol", "--http", "zmqio.uvicorn:HttpProtocol"),
    ],
    "serve": ["-m", "zmqio", "serve", "own_app:app", "--workers", "1", "--bind", "127.0.0.1:{port}"],
}
OPEN = {"EIO": "4", "transport": "polling"}


@contextmanager
def full_disk() -> Iterator[IO[bytes]]:
    """A file that rejects every write."""
    with Path("/dev/full").open("wb") as full:
        yield full


def spawn(way: str, folder: Path, port: int, output: Any, environment: dict[str, str], app: str = APP) -> Process:
    """Start a host of an app."""
    (folder / "own_app.py").write_text(app)
    return start(
        [sys.executable, *(word.format(port=port) for word in WAYS[way])],
        cwd=folder,
        env=process_environment() | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=output,
    )


@asynccontextmanager
async def running(
    way: str, folder: Path, output: Any, environment: dict[str, str] | None = None
) -> AsyncIterator[tuple[str, Process]]:
    """A host of `APP` with its log going to `output`; its address and its process."""
    port = free_port()
    process = spawn(way, folder, port, output, environment or {})
    url = f"http://127.0.0.1:{port}"
    family = [psutil.Process(process.pid)]
    try:
        await wait_until(lambda: answers(url) or process.poll() is not None, "an answer")
        assert process.poll() is None, "it did not start"
        family += family[0].children(recursive=True)
        yield url, process
    finally:
        process.terminate()
        await asyncio.to_thread(end, process, family)


def end(process: Process, family: list[psutil.Process]) -> None:
    """Wait until a host exits, and kill its remaining processes."""
    try:
        process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    kill_all(one for one in family if one.pid != process.pid)


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """Kill processes; some may end at this moment."""
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            one.kill()


def stop(process: Process) -> None:
    """Stop a process, which must not take long."""
    process.terminate()
    process.wait(LIMIT_S)


def answers(url: str) -> bool:
    """Whether a host answers handshakes."""
    try:
        return httpx.get(f"{url}/socket.io/", params=OPEN, timeout=LIMIT_S).status_code == 200
    except httpx.HTTPError:
        return False


def nested(depth: int) -> list[Any]:
    """A list in a list, `depth` times."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("way", WAYS)
async def test_failing_handlers_cost_little_and_show_neither_auth_nor_arguments(way: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        async with running(way, tmp_path, output) as (url, _):
            refused = PyClient(url, "websocket", auth={"fail": True, "token": "SECRET-TOKEN"})
            with pytest.raises(Exception, match="Internal server error"):
                await refused.connect()
            client = PyClient(url, "websocket", auth={"token": "SECRET-TOKEN"})
            await client.connect()
            for depth in (50, 100, 120):
                await client.emit("fail", "SECRET-ARGUMENT", nested(depth))
            for number in range(500):
                await client.emit("fail", "SECRET-ARGUMENT")
                if number % 50 == 0:
                    assert await client.call("echo", number) == number
            assert await client.call("echo", 1) == 1
            await asyncio.gather(client.end(), refused.end())
    text = log.read_text()
    assert "ValueError: on purpose" in text
    assert "ValueError: connect on purpose" in text
    assert "SECRET" not in text
    assert len(text) < 50_000


@pytest.mark.parametrize("way", ["uvicorn", "serve"])
async def test_event_names_of_any_characters_are_logged_in_ascii_without_forged_lines(
    way: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    names = ["\\ud800", "x\\r\\nforged=1", "Gr\\u00fc\\u00dfe", "\\u001b[31m"]
    with log.open("wb") as output:
        async with (
            running(way, tmp_path, output, {"PYTHONIOENCODING": "ascii"}) as (url, _),
            httpx.AsyncClient(base_url=url, timeout=LIMIT_S) as http,
        ):
            sid = (await http.get("/socket.io/", params=OPEN)).text.split('"sid":"')[1].split('"')[0]
            session = {**OPEN, "sid": sid}
            await http.post("/socket.io/", params=session, content="40")
            assert (await http.get("/socket.io/", params=session)).text.startswith("40{")
            packets = [*(f'42["{name}",1]' for name in names), '421["echo",7]']
            await http.post("/socket.io/", params=session, content="\x1e".join(packets))
            assert (await http.get("/socket.io/", params=session)).text == "431[7]"
    text = log.read_text("ascii")
    assert not any(line.startswith("forged") for line in text.splitlines())
    assert "\x1b[31m" not in text


@pytest.mark.parametrize("way", WAYS)
async def test_node_whose_log_is_on_a_full_disk_serves(way: str, tmp_path: Path) -> None:
    with full_disk() as full:
        async with running(way, tmp_path, full) as (url, _):
            client = PyClient(url, "upgrade")
            await client.connect()
            await client.emit("fail")
            assert await client.call("echo", 1) == 1
            await client.end()


@pytest.mark.parametrize("way", WAYS)
async def test_node_whose_log_has_no_reader_serves(way: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4_096)
        os.set_blocking(writer, True)
        if way == "uvicorn":  # its own lines wait for their reader: they begin once the node has started
            os.read(reader, 32_768)
        async with running(way, tmp_path, writer) as (url, process):
            client = PyClient(url, "websocket")
            await client.connect()
            for number in range(2_000):
                await client.emit(f"unknown-{number}-{'x' * 500}")
                await client.emit("fail")
                if number % 100 == 0:
                    assert await client.call("echo", number) == number
            assert await client.call("echo", 1) == 1
            await client.end()
            if way == "uvicorn":  # its last lines wait for their reader, too
                os.set_blocking(reader, False)
                os.read(reader, 1 << 20)
                return
            await asyncio.to_thread(stop, process)
    finally:
        os.close(reader)
        os.close(writer)


async def test_serve_on_a_full_disk_replaces_workers_and_leaves_none_behind(tmp_path: Path) -> None:
    with full_disk() as full:
        async with running("serve", tmp_path, full) as (url, process):
            parent = psutil.Process(process.pid)
            worker = next(child for child in children_of(parent.pid) if listens_to_parent(child))
            worker.kill()
            await wait_until(lambda: answers(url), "an answer of the next worker")
            family = parent.children(recursive=True)
            process.send_signal(signal.SIGKILL)
            await wait_until(lambda: not any(is_alive(child) for child in family), "the end of its children")


async def test_broker_whose_log_nobody_reads_stops() -> None:
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4_096)
        os.set_blocking(writer, True)
        address = f"tcp://127.0.0.1:{free_port_block(4)}"
        command = [sys.executable, "-m", "zmqio_broker", "--bind", address]
        environment = process_environment()
        process = await asyncio.to_thread(
            partial(subprocess.Popen, command, env=environment, stdout=writer, stderr=writer)
        )
        try:
            assert await asyncio.to_thread(ask_control, address, {"op": "hello", "version": 1})
            await asyncio.to_thread(stop, process)
        finally:
            process.kill()
            process.wait()
    finally:
        os.close(reader)
        os.close(writer)


async def test_app_that_breaks_while_the_disk_is_full_ends_serve_with_an_error(tmp_path: Path) -> None:
    with full_disk() as full:
        process = spawn("serve", tmp_path, free_port(), full, {}, "1 / 0")
        try:
            assert await asyncio.to_thread(process.wait, 3 * LIMIT_S) != 0  # after several starts of the worker
        finally:
            process.kill()
            process.wait()


async def test_blocked_worker_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "start.py").write_text(
        "import zmqio.launcher.options as options\n"
        "options.STOP_MARGIN_S = 1.0\n"
        "import zmqio\n"
        "zmqio.serve('tests.support.serve_app:app', workers=1, bind='127.0.0.1:0', log_format='json')\n"
    )
    server = ServeProcess(
        command=[str(tmp_path / "start.py")], workers=1, environment={"PYTHONPATH": f"{ROOT}:{ROOT}/broker"}
    )
    async with server:
        client = PyClient(server.url, "websocket")
        await client.connect()
        await client.emit("block")
        family = server.children()
        server.send_signal(signal.SIGKILL)
        await wait_until(lambda: not any(is_alive(child) for child in family), "the end of its children")


def listens_to_parent(process: psutil.Process) -> bool:
    """Whether the process is a worker rather than the broker."""
    return not is_broker(process)
