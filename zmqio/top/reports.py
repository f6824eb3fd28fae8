"""The output of `zmqio top` and `zmqio status`: a live table, one table, JSON, or one line."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from zmqio.buses import make_observer_bus
from zmqio.config import DEFAULT_ADDRESS, address_from_environment
from zmqio.exceptions import ConfigError
from zmqio.logs import configure_logs
from zmqio.top.cluster_observer import ClusterObserver
from zmqio.top.overview import BrokerRow, NodeRow, broker_row, node_row, status_line, to_json
from zmqio.top.screen import render

__all__ = ["print_once", "print_status", "show"]

ONCE_INTERVAL_S = 1.0
"""Seconds between the two readings of `--once`, from which it calculates rates."""


async def show(address: str | None, prefix: str, interval_s: float) -> None:
    """Show the table and update it every `interval_s` seconds, until cancelled."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    async with _observing(address, prefix) as observer:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                observer.ask()
                await observer.wait_for_all(interval_s / 2)
                observer.note_problems()
                live.update(render(*_rows(observer)), refresh=True)
                await asyncio.sleep(interval_s / 2)


async def print_once(address: str | None, prefix: str, timeout_s: float, *, as_json: bool) -> int:
    """Print the table, or JSON; return the exit code of `zmqio top --once`."""
    async with _observing(address, prefix) as observer:
        is_complete = await _ask(observer, timeout_s)
        if is_complete:
            await asyncio.sleep(ONCE_INTERVAL_S)
            is_complete = await _ask(observer, timeout_s)
        nodes, brokers = _rows(observer)
    if as_json:
        click.echo(json.dumps(to_json(nodes, brokers)))
    else:
        from rich.console import Console

        Console().print(render(nodes, brokers))
    return 0 if is_complete else 1


async def print_status(address: str | None, prefix: str, required: int, timeout_s: float) -> int:
    """Print whether the cluster is ready; return the exit code of `zmqio status`."""
    async with _observing(address, prefix) as observer:
        await _ask(observer, timeout_s, required)
        nodes, brokers = _rows(observer)
        is_ready, line = status_line(nodes, brokers, expected=observer.expected_nodes, required=required)
    click.echo(line)
    return 0 if is_ready else 1


async def _ask(observer: ClusterObserver, timeout_s: float, required: int = 1) -> bool:
    observer.ask()
    is_complete = await observer.wait_for_all(timeout_s, required)
    observer.note_problems()
    return is_complete


def _rows(observer: ClusterObserver) -> tuple[list[NodeRow], list[BrokerRow]]:
    now = time.monotonic()
    nodes = [node_row(node_id, view, now) for node_id, view in observer.nodes.items()]
    return nodes, [broker_row(view) for view in observer.brokers]


@asynccontextmanager
async def _observing(address: str | None, prefix: str) -> AsyncIterator[ClusterObserver]:
    try:
        chosen = address or address_from_environment() or DEFAULT_ADDRESS
        observer = ClusterObserver(*make_observer_bus(chosen, prefix=prefix), prefix)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    configure_logs("auto", "error")  # lost connections are shown
    await observer.start()
    try:
        yield observer
    finally:
        await observer.close()
