"""Runs the server of an example, and waits for servers that examples start."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.request import urlopen

from tests.support.cluster import process_environment
from tests.support.forked import start
from tests.support.ports import free_port
from tests.support.process_log import ProcessLog
from tests.support.timing import LIMIT_S

__all__ = ["START_LIMIT_S", "is_ready", "serve_example"]

START_LIMIT_S = 3 * LIMIT_S
"""Several servers may start together on a busy machine."""


@asynccontextmanager
async def serve_example(folder: Path, *arguments: str, **environment: str) -> AsyncIterator[str]:
    """Run a server in a folder until the block ends; yield its URL.

    Args:
        folder: of the example.
        arguments: of Python; by default those that run `app:app` under uvicorn. The variables `PORT` and
            `UVICORN_PORT` have the port.
        environment: further variables.
    """
    port = str(free_port())
    command = [sys.executable, *(arguments or ("-m", "uvicorn", "app:app"))]
    environment = process_environment() | {"PORT": port, "UVICORN_PORT": port} | environment
    async with AsyncExitStack() as stack:
        log = ProcessLog("example")
        stack.callback(log.close)
        process = start(command, env=environment, stdout=log.file, cwd=folder)
        stack.push_async_callback(asyncio.to_thread, process.wait, LIMIT_S)
        stack.callback(process.terminate)
        async with asyncio.timeout(START_LIMIT_S):
            while not await _listens(port):
                assert process.poll() is None, log.text()
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"


def is_ready(port: int) -> bool:
    """Whether a node on a port of this machine is ready. It serves before, where its broker starts slowly."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=LIMIT_S) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


async def _listens(port: str) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
