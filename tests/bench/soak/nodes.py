"""The harness's handles of the node processes under test."""

import asyncio
import json
import signal
from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import Request, urlopen

import psutil

from tests.bench.soak.ledger import read_ledger
from tests.bench.soak.node_app import CAPACITY_VARIABLE, EMITTER_VARIABLE, LEDGER_VARIABLE
from tests.support.cluster import NodeProcess
from tests.support.node_config import NodeConfig
from tests.support.timing import LIMIT_S

__all__ = ["SoakNode"]

QUIET_LEVELS = ("debug", "info")


class SoakNode(NodeProcess):
    """One node process.

    Args:
        config: the configuration of the node.
        index: index of the node and its messages.
        folder: folder for its ledger.
        capacity: most messages to emit.
        before: prefix of its command, for example `ip netns exec NAME`.

    Attributes:
        node_id: known once `learn_id` has run.
        killed_ns: time at which it was killed, or None.
    """

    module: ClassVar[str] = "tests.bench.soak.node_app"

    def __init__(
        self, config: NodeConfig, *, index: int, folder: Path, capacity: int, before: Sequence[str] = ()
    ) -> None:
        super().__init__(config)
        self.index = index
        self.node_id = ""
        self.killed_ns: int | None = None
        self._before = list(before)
        self._capacity = capacity
        self._ledger = folder / f"ledger-{index}"

    def command(self, fd: int) -> list[str]:
        """Return the command of the node, in its namespace."""
        return [*self._before, *super().command(fd)]

    def environment(self) -> dict[str, str]:
        """Return its environment, with its ledger and index."""
        return super().environment() | {
            EMITTER_VARIABLE: str(self.index),
            LEDGER_VARIABLE: str(self._ledger),
            CAPACITY_VARIABLE: str(self._capacity),
        }

    async def learn_id(self) -> None:
        """Read its node id."""
        self.node_id = (await self.state())["node_id"]

    async def do(self, op: str, **facts: Any) -> None:
        """Run one command of `SoakApp.command`."""
        await asyncio.to_thread(self._post, json.dumps({"op": op, **facts}).encode())

    async def end(self) -> None:
        """Kill it, suspended or not, and drop its log. A graceful stop is tested elsewhere."""
        await self.stop(signal.SIGKILL)
        await self.close()

    def send_signal(self, number: signal.Signals) -> None:
        """Send SIGSTOP, SIGCONT or SIGKILL."""
        assert self._process is not None
        self._process.send_signal(number)

    def resident_mb(self) -> float:
        """Return its resident memory in MB."""
        return float(psutil.Process(self.pid).memory_info().rss) / 1e6

    def ledger(self) -> "array[int]":
        """Return its emitted messages, even after it was killed."""
        return read_ledger(self._ledger)

    def warnings(self) -> Counter[str]:
        """Count its log lines above INFO by event."""
        lines = self.log_lines()
        return Counter(line["event"] for line in lines if line.get("level", "info") not in QUIET_LEVELS)

    def _post(self, body: bytes) -> None:
        with urlopen(Request(f"{self.url}/test/", body), timeout=LIMIT_S) as answer:
            answer.read()
