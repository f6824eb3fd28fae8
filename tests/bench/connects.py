"""Connect to a node in each transport, with each kind of disconnect: `python -m tests.bench.connects [CYCLES]`.

The kinds are those of `tests/support/churn.py`: closed and aborted WebSockets, polling sessions, upgrades and
polls, failed authentication, and sessions that never connect to a namespace. The exit code is 1 if sessions,
requests, tasks, descriptors or objects are left behind.
"""

import asyncio
import sys
import time
from typing import Any

import click

from tests.support.churn import churn, read_census
from tests.support.cluster import NodeProcess
from tests.support.node_config import NodeConfig
from tests.support.timing import LIMIT_S

WARM_CYCLES = 400
MORE_OBJECTS = 300
"""Tracked objects may differ by those of the connection that reads the census."""
COLUMNS = ("sessions", "requests", "tasks", "descriptors", "objects", "resident_bytes")
OPTIONS = {"ping_interval_s": 1, "ping_timeout_s": 8}
"""A lost polling client is detected by its heartbeat only."""


@click.command()
@click.argument("cycles", default=20_000)
def main(cycles: int) -> None:
    """Run CYCLES connects and disconnects on a new node, and print what is left of them."""
    click.echo(f"python -m tests.bench.connects {cycles}; Python {sys.version.split()[0]}")
    raise SystemExit(asyncio.run(_run(cycles)))


async def _run(cycles: int) -> int:
    async with NodeProcess(NodeConfig("connects", options=OPTIONS)) as node:
        await churn(node.port, WARM_CYCLES)
        before = await _settled(node.port, {"sessions": 0, "requests": 0})
        began = time.monotonic()
        await churn(node.port, cycles)
        lasted_s = time.monotonic() - began
        limits = {name: before[name] for name in COLUMNS if name != "resident_bytes"}
        limits["objects"] += MORE_OBJECTS
        after = await _settled(node.port, limits)
        click.echo(f"{cycles} cycles in {lasted_s:.0f} s")
        click.echo(f"{'':<16}{'before':>14}{'after':>14}")
        for name in COLUMNS:
            click.echo(f"{name:<16}{before[name]:>14,}{after[name]:>14,}")
        left = [name for name, limit in limits.items() if after[name] > limit]
        click.echo(f"left behind: {', '.join(left) or 'nothing'}")
        return 1 if left else 0


async def _settled(port: int, at_most: dict[str, int]) -> dict[str, Any]:
    """The census as soon as it is nowhere above `at_most`, or after a minute."""
    ends_at = time.monotonic() + 3 * LIMIT_S
    while True:
        census = await asyncio.to_thread(read_census, port)
        if time.monotonic() > ends_at or all(census[name] <= limit for name, limit in at_most.items()):
            return census
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    main()
