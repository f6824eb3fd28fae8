"""Runs an example app under uvicorn."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.support.cluster import process_environment
from tests.support.forked import start
from tests.support.ports import free_port
from tests.support.process_log import ProcessLog
from tests.support.timing import LIMIT_S

__all__ = ["serve_example"]


@asynccontextmanager
async def serve_example(folder: Path, app: str = "app:app", **environment: str) -> AsyncIterator[str]:
    """Run an app of a folder until the block ends; yield its URL."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port)]
    async with AsyncExitStack() as stack:
        log = ProcessLog("example")
        stack.callback(log.close)
        process = start(command, env=process_environment() | environment, stdout=log.file, cwd=folder)
        stack.push_async_callback(asyncio.to_thread, process.wait, LIMIT_S)
        stack.callback(process.terminate)
        async with asyncio.timeout(LIMIT_S):
            while not await _listens(port):
                assert process.poll() is None, log.text()
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
