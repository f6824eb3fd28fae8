"""The commands `zmqio top` and `zmqio status`."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

import click

from zmqio.config import DEFAULT_ADDRESS, BusOptions, address_from_environment
from zmqio.exceptions import ConfigError
from zmqio.logs import configure_logs
from zmqio.protocol.mechanism import NullMechanism
from zmqio.top.cluster_observer import ClusterObserver
from zmqio.top.overview import BrokerRow, NodeRow, broker_row, node_row, status_line, to_json
from zmqio.top.screen import render
from zmqio.zeromq.addresses import split_addresses
from zmqio.zeromq.curve import load_curve

__all__ = ["status_command", "top_command"]

MISSING = "the table needs rich: `pip install zmqio[top]`; `--once --json` does not"
ONCE_INTERVAL_S = 1.0
"""Seconds between the two readings of `--once`, from which it calculates rates."""

_address = click.argument("address", required=False)
_prefix = click.option("--prefix", default="zmqio", show_default=True, help="The `prefix` option of the nodes.")
_timeout = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit for the answers of all nodes and brokers.",
)


@click.command("top", short_help="Show the nodes and brokers of a cluster, live.")
@_address
@_prefix
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(min=0.2),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two updates.",
)
@click.option("--once", is_flag=True, help="Print the table once and exit; also if the output is no terminal.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print JSON.")
@_timeout
def top_command(
    address: str | None, prefix: str, interval_s: float, *, once: bool, as_json: bool, timeout_s: float
) -> None:
    """Show the nodes and brokers of a cluster, live. Ctrl-C ends it.

    ADDRESS is that of the broker, or of several, separated by commas. [default: $ZMQIO_ADAPTER, otherwise
    tcp://127.0.0.1:5555]

    Needs zmqio[top], except with --once --json.

    Exit codes: 0; with --once 1 if a broker or a node did not answer; 2 wrong option.

    Example: zmqio top tcp://127.0.0.1:5555
    """
    if as_json and not once:
        raise click.UsageError("--json needs --once")
    if not as_json and find_spec("rich") is None:
        raise click.UsageError(MISSING)
    if once or not sys.stdout.isatty():
        sys.exit(asyncio.run(_print_once(address, prefix, timeout_s, as_json=as_json)))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_show(address, prefix, interval_s))


@click.command("status", short_help="Say in one line whether a cluster is ready.")
@_address
@_prefix
@click.option(
    "--nodes",
    "required",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="At least N nodes must be ready.",
)
@_timeout
def status_command(address: str | None, prefix: str, required: int, timeout_s: float) -> None:
    """Say in one line whether a cluster is ready: its brokers respond, and all its nodes are ready.

    ADDRESS is as for `zmqio top`.

    Exit codes: 0 ready, 1 not ready (with the reason), 2 wrong option.

    Example: zmqio status tcp://127.0.0.1:5555 --nodes 3
    """
    sys.exit(asyncio.run(_print_status(address, prefix, required, timeout_s)))


async def _show(address: str | None, prefix: str, interval_s: float) -> None:
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


async def _print_once(address: str | None, prefix: str, timeout_s: float, *, as_json: bool) -> int:
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


async def _print_status(address: str | None, prefix: str, required: int, timeout_s: float) -> int:
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
        addresses = split_addresses(address or address_from_environment() or DEFAULT_ADDRESS)
        options = BusOptions(prefix=prefix)
        keys = load_curve(None, len(addresses))
        mechanisms: list[Any] = [NullMechanism if each is None else each.mechanism() for each in keys]
        observer = ClusterObserver(addresses, options, mechanisms)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    configure_logs("auto", "error")  # lost connections are shown
    await observer.start()
    try:
        yield observer
    finally:
        await observer.close()
