"""Node processes for end-to-end tests: start, inspect and stop one node, or a cluster on one broker.

Every process is ended by its own pid. A port is bound by the test and inherited by the node, so it cannot be
taken in between.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar
from urllib.request import urlopen

from tests.support.forked import Process, start
from tests.support.node_config import NodeConfig
from tests.support.process_log import ProcessLog
from tests.support.timing import LIMIT_S, wait_until

__all__ = ["Cluster", "NodeProcess", "process_environment"]

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
POLL_S = 0.02
TRACE_LIMIT_S = 5.0


def process_environment() -> dict[str, str]:
    """The environment of child processes: the working tree is importable, and no option of zmqio is set.

    A child that gets SIGABRT writes where its threads are.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ZMQIO_")}
    paths = [str(ROOT), str(ROOT / "broker"), environment.get("PYTHONPATH", "")]
    search = os.pathsep.join(path for path in paths if path)
    return environment | {"PYTHONPATH": search, "PYTHONFAULTHANDLER": "1"}


class NodeProcess:
    """One node process.

    Args:
        config: its settings.

    Attributes:
        module: its program; a subclass may name another one that takes the same arguments.
    """

    module: ClassVar[str] = "tests.support.node_app"

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._log = ProcessLog("node")
        self._process: Process | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.config.name

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    async def __aenter__(self) -> "NodeProcess":
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def spawn(self) -> None:
        """Start the process; it answers when `state` does."""
        fd = self._listener.fileno()
        environment = self.environment() | self.config.environment
        self._process = start(self.command(fd), env=environment, pass_fds=[fd], stdout=self._log.file)
        self._listener.close()

    def command(self, fd: int) -> list[str]:
        """The command to run; `fd` is the listening socket. A subclass may prefix it."""
        return [sys.executable, "-m", self.module, self.config.to_json(), str(fd)]

    def environment(self) -> dict[str, str]:
        """The environment of the process. A subclass may extend it."""
        return process_environment()

    async def start(self) -> "NodeProcess":
        """Start the process and wait until it answers."""
        self.spawn()
        await self.state()
        return self

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the process and wait for it; a second time nothing happens.

        Returns:
            Its exit code.
        """
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
        try:
            return await asyncio.to_thread(process.wait, LIMIT_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # with PYTHONFAULTHANDLER, it writes where its threads are
            with suppress(subprocess.TimeoutExpired):
                process.wait(TRACE_LIMIT_S)
            process.kill()
            process.wait()
            raise AssertionError(f"node {self.name} did not stop:\n{self.log_text()}") from None

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def wait_end(self) -> int:
        """Wait until it has ended by itself; returns its exit code."""
        process = self._process
        assert process is not None
        try:
            return await asyncio.to_thread(process.wait, LIMIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"node {self.name} has not ended:\n{self.log_text()}") from None

    async def close(self) -> None:
        """End the process and drop its log."""
        try:
            await self.stop()
        finally:
            self._log.close()

    def log_text(self) -> str:
        """Everything that it has written."""
        return self._log.text()

    def log_lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """Its log lines that are JSON objects, of one event or of all."""
        return self._log.lines(event)

    async def state(self) -> dict[str, Any]:
        """The result of `NodeApp.state`; waits until the process responds."""
        try:
            return await asyncio.to_thread(self._read, "")
        except OSError as error:
            raise AssertionError(f"node {self.name} does not answer ({error}):\n{self.log_text()}") from error

    async def census(self) -> dict[str, Any]:
        """The result of `NodeApp.census`."""
        return await asyncio.to_thread(self._read, "census")

    async def wait_state(self, what: str, condition: Any) -> dict[str, Any]:
        """Wait until `condition(state)` holds, and return that state."""
        ends_at = asyncio.get_running_loop().time() + LIMIT_S
        while not condition(last := await self.state()):
            if asyncio.get_running_loop().time() >= ends_at:
                raise AssertionError(f"not within {LIMIT_S:g} s: {what}; it is {last}\n{self.log_text()}")
            await asyncio.sleep(POLL_S)
        return last

    async def wait_log(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until it has logged an event `count` times, and return those lines."""
        await wait_until(
            lambda: len(self.log_lines(event)) >= count, f"{count} times {event} in the log of {self.name}"
        )
        return self.log_lines(event)

    def _read(self, what: str) -> dict[str, Any]:
        with urlopen(f"{self.url}/test/{what}", timeout=LIMIT_S) as answer:
            state: dict[str, Any] = json.load(answer)
            return state


class Cluster:
    """Node processes on one broker that have all discovered each other.

    Args:
        address: of the broker.
        configs: one for each node; their `adapter` is replaced by `address`.
    """

    def __init__(self, address: str, configs: Sequence[NodeConfig]) -> None:
        self.nodes = [NodeProcess(replace(config, adapter=address)) for config in configs]
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Cluster":
        for node in self.nodes:
            self._stack.push_async_callback(node.close)
            node.spawn()
        try:
            await self.wait_complete()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def __iter__(self) -> Iterator[NodeProcess]:
        return iter(self.nodes)

    def __getitem__(self, index: int) -> NodeProcess:
        return self.nodes[index]

    async def wait_complete(self) -> None:
        """Wait until every node receives from the bus and counts all nodes (the broker may have others, too)."""
        for node in self.nodes:
            await node.wait_state(
                f"node {node.name} counts {len(self.nodes)} nodes",
                lambda state: state["ready"] and state["server_count"] >= len(self.nodes),
            )

    async def wait_log(self, event: str, count: int = 1) -> None:
        """Wait until every node has logged an event."""
        for node in self.nodes:
            await node.wait_log(event, count)
