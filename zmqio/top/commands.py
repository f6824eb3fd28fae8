"""The commands `zmqio top` and `zmqio status`. Their code is in `reports`, which is imported when they run."""

import asyncio
import contextlib
import sys
from importlib.util import find_spec

import click

__all__ = ["status_command", "top_command"]

MISSING = "the table needs rich: `pip install zmqio[top]`; `--once --json` does not"

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

    ADDRESS is that of the broker or of NATS servers; several are separated by commas. [default: $ZMQIO_ADAPTER,
    otherwise tcp://127.0.0.1:5555]

    Needs zmqio[top], except with --once --json.

    Exit codes: 0; with --once 1 if a broker or a node did not answer; 2 wrong option.

    Example: zmqio top tcp://127.0.0.1:5555
    """
    if as_json and not once:
        raise click.UsageError("--json needs --once")
    if not as_json and find_spec("rich") is None:
        raise click.UsageError(MISSING)
    from zmqio.top import reports

    if once or not sys.stdout.isatty():
        sys.exit(asyncio.run(reports.print_once(address, prefix, timeout_s, as_json=as_json)))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(reports.show(address, prefix, interval_s))


@click.command("status", short_help="Print in one line whether a cluster is ready.")
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
    """Print in one line whether a cluster is ready: its brokers respond, and all its nodes are ready.

    ADDRESS is as for `zmqio top`.

    Exit codes: 0 ready, 1 not ready (with the reason), 2 wrong option.

    Example: zmqio status tcp://127.0.0.1:5555 --nodes 3
    """
    from zmqio.top import reports

    sys.exit(asyncio.run(reports.print_status(address, prefix, required, timeout_s)))
