"""The harness's handle of the checker process."""

import asyncio
import subprocess
import sys
from multiprocessing import Pipe
from types import TracebackType
from typing import Any

from tests.bench.soak.checks import Tally
from tests.support.cluster import ROOT, process_environment
from tests.support.timing import LIMIT_S

__all__ = ["CheckerProcess"]


class CheckerProcess:
    """The checker process. It runs during the `async with` block; for the commands see `Checker`."""

    def __init__(self) -> None:
        self._pipe, theirs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.soak.checker", str(theirs.fileno())],
            cwd=ROOT,
            env=process_environment(),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> "CheckerProcess":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def connect(self, clients: list[tuple[int, int, frozenset[int]]], capacity: int, base_ns: int) -> None:
        """Connect the clients (client, port, rooms), and wait until they are in their rooms."""
        assert await self._ask("connect", clients, capacity, base_ns) == len(clients)

    async def change(self, client: int, room: int, *, joins: bool) -> None:
        """Make a client join or leave a room. Returns before the node has acknowledged."""
        await self._ask("change", client, room, joins)

    async def progress(self) -> dict[int, list[int]]:
        """Return the number of messages received so far, by client and emitter."""
        counts: dict[int, list[int]] = await self._ask("progress")
        return counts

    async def report(self) -> dict[int, Tally]:
        """Return the tally of each client. The process exits."""
        tallies: dict[int, Tally] = await self._ask("report")
        return tallies

    async def _ask(self, *command: Any) -> Any:
        async with self._turn:
            return await asyncio.to_thread(self._exchange, command)

    def _exchange(self, command: tuple[Any, ...]) -> Any:
        self._pipe.send(command)
        if not self._pipe.poll(LIMIT_S):
            raise AssertionError(f"the checker does not respond to {command[0]!r}")
        return self._pipe.recv()
