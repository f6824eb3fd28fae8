"""Many connect/disconnect cycles against one node, to find leaks."""

import asyncio

from tests.support.churn import churn, read_census
from tests.support.cluster import NodeProcess
from tests.support.node_config import NodeConfig

__all__ = ["run_cycles"]

PARTS = 10
COLUMNS = ("sessions", "requests", "tasks", "descriptors", "objects", "resident_bytes")
OPTIONS = {"ping_interval_s": 1, "ping_timeout_s": 4}
"""A client that aborts its poll is noticed only by its heartbeat."""
SETTLE_S = 8.0
"""Seconds for the last sessions to end before a census."""


def run_cycles(cycles: int) -> None:
    """Run `cycles` cycles of mixed transports in ten parts, and print the census of the node after each."""
    asyncio.run(_run(cycles))


async def _run(cycles: int) -> None:
    async with NodeProcess(NodeConfig("cycles", options=OPTIONS)) as node:
        await churn(node.port, max(cycles // 100, 100))  # creates everything that is created once
        print(f"{'cycles':>8}" + "".join(f"{name:>16}" for name in COLUMNS))
        await _look(node.port, 0)
        for part in range(1, PARTS + 1):
            await churn(node.port, cycles // PARTS)
            await _look(node.port, part * (cycles // PARTS))


async def _look(port: int, done: int) -> None:
    await asyncio.sleep(SETTLE_S)
    census = await asyncio.to_thread(read_census, port)
    print(f"{done:>8}" + "".join(f"{census[name]:>16,}" for name in COLUMNS), flush=True)
