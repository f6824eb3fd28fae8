"""uvicorn with several workers: a node without a bus warns about the consequences."""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.broker import BrokerProcess
from tests.support.cluster import process_environment
from tests.support.ports import free_port
from tests.support.timing import LIMIT_S

APP = """\
import zmqio

io = zmqio.Server()
app = io.asgi()
"""
STARTED, WARNING = "node_started", "unconnected_workers_detected"


async def output_of(options: list[str], environment: dict[str, str], *, nodes: int) -> str:
    """Return the output of uvicorn after `nodes` have started and it was stopped."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "several.py").write_text(APP)
        output = Path(folder) / "output"
        process = await asyncio.to_thread(start, options, environment, Path(folder), output)
        try:
            async with asyncio.timeout(3 * LIMIT_S):  # several interpreters start at once
                while output.read_text().count(STARTED) < nodes:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, LIMIT_S)
        return output.read_text()


def start(
    options: list[str], environment: dict[str, str], folder: Path, output: Path
) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "uvicorn", "several:app", "--port", str(free_port()), *options]
    with output.open("wb") as file:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=process_environment() | environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )


async def test_every_worker_warns_once_with_the_remedy() -> None:
    output = await output_of(["--workers", "2"], {}, nodes=2)
    lines = [line for line in output.splitlines() if WARNING in line]
    assert len(lines) == 2
    for line in lines:
        for words in ("uvicorn", "Session ID unknown", "broker", "adapter=", "zmqio serve"):
            assert words in line


async def test_number_of_workers_in_the_environment_counts() -> None:
    assert WARNING in await output_of([], {"WEB_CONCURRENCY": "2"}, nodes=2)


async def test_workers_with_a_bus_do_not_warn() -> None:
    with BrokerProcess() as broker:
        assert WARNING not in await output_of(["--workers", "2"], {"ZMQIO_ADAPTER": broker.address}, nodes=2)


async def test_single_process_does_not_warn() -> None:
    assert WARNING not in await output_of([], {}, nodes=1)
    assert WARNING not in await output_of(["--reload"], {}, nodes=1)
    assert WARNING not in await output_of(["--workers", "1"], {"WEB_CONCURRENCY": "4"}, nodes=1)
