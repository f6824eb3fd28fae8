"""The processes of the clients, and the CPU time of all processes of a run."""

import argparse
import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from tests.support.npm import node_modules, require_node

__all__ = ["Clients", "cpu_seconds"]

CLIENTS = Path(__file__).with_name("clients.mjs")
LINE_LIMIT_BYTES = 1 << 20
PROGRESS_S = 10
CONNECT_MS = 10
"""Milliseconds between two clients that connect at the beginning."""
STOP_LIMIT_S = 60


def cpu_seconds(pids: Iterable[int]) -> float:
    """The CPU time of those of some processes that still run."""
    total = 0.0
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


class Clients:
    """The processes of the clients, as `async with`.

    Args:
        arguments: the command line.
        urls: of the nodes.
    """

    def __init__(self, arguments: argparse.Namespace, urls: list[str]) -> None:
        self._processes: list[asyncio.subprocess.Process] = []
        self._latest: list[dict[str, Any]] = []
        self._count = arguments.processes
        self._clients = arguments.clients
        self._options = {
            "mode": arguments.mode,
            "breaks": arguments.breaks,
            "urls": urls[:1] if arguments.mode == "stop" else urls,
            "urls_after": urls[1:],
            "pause_ms": arguments.pause_ms,
            "away_ms": arguments.away_ms,
            "connect_ms": CONNECT_MS * arguments.clients,
            "transports": arguments.transports.split(","),
        }

    async def __aenter__(self) -> "Clients":
        each = self._clients // self._count
        folder = str(node_modules("socket.io-client").parent)
        for number in range(self._count):
            options = {**self._options, "clients": each, "first": number * each}
            process = await asyncio.create_subprocess_exec(
                require_node(),
                str(CLIENTS),
                folder,
                json.dumps(options),
                stdout=asyncio.subprocess.PIPE,
                limit=LINE_LIMIT_BYTES,
            )
            self._processes.append(process)
            self._latest.append({})
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def wait_for(self, kind: str) -> None:
        """Wait for a line of this kind from each process."""
        await asyncio.gather(*(self._read_until(kind, index) for index in range(self._count)))

    async def end(self, limit_s: float) -> bool:
        """Wait until all have ended; after `limit_s`, let them end at once. Return whether they were complete."""
        ends = asyncio.create_task(self.wait_for("end"))
        reports = asyncio.create_task(self._report())
        try:
            done, _ = await asyncio.wait((ends,), timeout=limit_s)
            if not done:
                for process in self._processes:
                    process.send_signal(signal.SIGTERM)
                await asyncio.wait_for(ends, STOP_LIMIT_S)
            await ends
            return bool(done)
        finally:
            reports.cancel()
            ends.cancel()

    def ledger(self) -> Counter[str]:
        """The sum of what they have counted up to now."""
        total = Counter[str]()
        for line in self._latest:
            total.update({name: value for name, value in line.items() if name != "kind"})
        total["slowest_ms"] = max(line.get("slowest_ms", 0) for line in self._latest)
        return total

    async def _read_until(self, kind: str, index: int) -> None:
        output = self._processes[index].stdout
        assert output is not None
        while self._latest[index].get("kind") != kind:
            line = await output.readline()
            if not line:
                raise RuntimeError("a process of the clients has ended")
            self._latest[index] = json.loads(line)

    async def _report(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            await asyncio.sleep(PROGRESS_S)
            ledger = self.ledger()
            returns = ledger["recovered"] + ledger["not_recovered"]
            print(
                f"{loop.time() - began:5.0f} s: {returns:,} returns, {ledger['not_recovered']:,} not recovered, "
                f"{ledger['events']:,} events, {ledger['missing']} missing, {ledger['twice']} twice",
                file=sys.stderr,
                flush=True,
            )
