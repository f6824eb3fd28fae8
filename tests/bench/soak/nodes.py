"""The node processes under test, as the harness holds them."""

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
        config: what it runs.
        index: its number, and that of its messages.
        folder: for its ledger.
        capacity: most messages that it can emit.
        before: words in front of its command, for example `ip netns exec NAME`.

    Attributes:
        node_id: known once `learn_id` has run.
        killed_ns: when it was killed, if it was.
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
        """The program of a node under test, in its namespace."""
        return [*self._before, *super().command(fd)]

    def environment(self) -> dict[str, str]:
        """Where its ledger is, and who it is."""
        return super().environment() | {
            EMITTER_VARIABLE: str(self.index),
            LEDGER_VARIABLE: str(self._ledger),
            CAPACITY_VARIABLE: str(self._capacity),
        }

    async def learn_id(self) -> None:
        """Note its node id."""
        self.node_id = (await self.state())["node_id"]

    async def do(self, op: str, **facts: Any) -> None:
        """Run one command of `SoakApp.command`."""
        await asyncio.to_thread(self._post, json.dumps({"op": op, **facts}).encode())

    async def end(self) -> None:
        """Kill it, stopped or not, and drop its log: how a node ends well is tested elsewhere."""
        await self.stop(signal.SIGKILL)
        await self.close()

    def send_signal(self, number: signal.Signals) -> None:
        """SIGSTOP, SIGCONT or SIGKILL."""
        assert self._process is not None
        self._process.send_signal(number)

    def resident_mb(self) -> float:
        """Memory that it has in use."""
        return float(psutil.Process(self.pid).memory_info().rss) / 1e6

    def ledger(self) -> "array[int]":
        """What it has emitted; also of a node that was killed."""
        return read_ledger(self._ledger)

    def warnings(self) -> Counter[str]:
        """How many log lines above INFO there are of each event."""
        lines = self.log_lines()
        return Counter(line["event"] for line in lines if line.get("level", "info") not in QUIET_LEVELS)

    def _post(self, body: bytes) -> None:
        with urlopen(Request(f"{self.url}/test/", body), timeout=LIMIT_S) as answer:
            answer.read()
