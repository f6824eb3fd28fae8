"""The command `zmqio`: broker, serve, emit, demo."""

import json
import os
import sys
from typing import Any, get_args

import click
from rich.console import Console

from zmqio import __version__
from zmqio.config import DEFAULT_ADDRESS, address_from_environment
from zmqio.demo.run import NODE_NAMES, DemoOptions, run_demo
from zmqio.emitter import Emitter
from zmqio.exceptions import ConfigError, ZmqioError
from zmqio.launcher.routing.worker_choice import Sticky
from zmqio.launcher.serve import serve as run_serve
from zmqio.logs import LEVELS
from zmqio.recipes.commands import haproxy_command, nginx_command

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="zmqio")
def main() -> None:
    """Socket.IO for Python over many processes and machines, joined by one small ZeroMQ broker."""


main.add_command(nginx_command)
main.add_command(haproxy_command)


@main.command(
    add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def broker(arguments: tuple[str, ...]) -> None:
    """Run a broker (`zmqio broker --help` lists its options)."""
    os.execv(sys.executable, [sys.executable, "-m", "zmqio_broker", *arguments])


@main.command()
@click.argument("app")
@click.option(
    "--workers", default="auto", show_default=True, metavar="N|auto", help="auto: one per processor core."
)
@click.option(
    "--acceptors",
    default="auto",
    show_default=True,
    metavar="N|auto",
    help="Processes that accept connections and pass them to workers; auto: one per two workers begun, which "
    "keeps even trivial ones busy. 1: the parent itself.",
)
@click.option("--bind", default="127.0.0.1:8000", show_default=True, metavar="HOST:PORT", help="Or unix:PATH.")
@click.option("--broker", metavar="ADDRESS", help="The broker to join. [default: $ZMQIO_ADAPTER, else its own]")
@click.option(
    "--sticky",
    type=click.Choice(get_args(Sticky)),
    help="How a connection finds its worker: a session by its id and a new one by least connections, or a new one "
    "by its client's address, or all in turn. [default: sid; address with TLS]",
)
@click.option(
    "--node-tag", default="", metavar="PREFIX", help="At most 2 characters that all node tags begin with."
)
@click.option("--ssl-certfile", default="", metavar="FILE", help="Serve TLS with this certificate (PEM).")
@click.option("--ssl-keyfile", default="", metavar="FILE", help="Its key, if it is in a file of its own.")
@click.option(
    "--trusted-proxies",
    default="127.0.0.1,::1",
    show_default=True,
    metavar="LIST",
    help="Addresses and networks whose X-Forwarded-For is believed; * for all.",
)
@click.option(
    "--drain",
    "drain_s",
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="Time over which a worker that stops disconnects its clients.",
)
@click.option(
    "--head-timeout",
    "head_limit_s",
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="A connection whose first request has no complete head by then is cut off.",
)
@click.option("--reload", is_flag=True, help="Restart the workers when a Python file changes.")
@click.option("--log-format", type=click.Choice(["auto", "console", "json"]), default="auto", show_default=True)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
def serve(app: str, workers: str, acceptors: str, broker: str | None, **options: Any) -> None:
    """Serve the ASGI app APP (module:attribute) with several processes on one port.

    SIGHUP restarts the workers one after the other; SIGTERM and Ctrl-C stop everything.
    """
    counts = {"workers": _count(workers), "acceptors": _count(acceptors)}
    try:
        run_serve(app, **counts, broker=broker or address_from_environment(), **options)
    except ConfigError as error:
        raise _WrongOptionError(str(error)) from error
    except ZmqioError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("event")
@click.argument("values", nargs=-1)
@click.option("--adapter", metavar="ADDRESS", help=f"The broker. [default: $ZMQIO_ADAPTER or {DEFAULT_ADDRESS}]")
@click.option("--to", "rooms", multiple=True, metavar="ROOM", help="Only members of ROOM; may be repeated.")
@click.option("--except", "except_", multiple=True, metavar="ROOM", help="No member of ROOM; may be repeated.")
@click.option("--namespace", default="/", show_default=True)
@click.option("--prefix", default="zmqio", show_default=True, help="The `prefix` option of the nodes.")
@click.option("--volatile", is_flag=True, help="Clients that cannot take it now do not get it.")
@click.option("--timeout", default=2.0, show_default=True, help="Seconds to wait for the broker.")
def emit(
    event: str,
    values: tuple[str, ...],
    adapter: str | None,
    rooms: tuple[str, ...],
    except_: tuple[str, ...],
    namespace: str,
    prefix: str,
    volatile: bool,
    timeout: float,
) -> None:
    """Send EVENT with VALUES (each one JSON) to clients of every node.

    Ends with exit code 0 when the broker has taken it, and with 1 and the reason otherwise.
    """
    args = [_from_json(number, text) for number, text in enumerate(values, start=1)]
    address = adapter or address_from_environment() or DEFAULT_ADDRESS
    try:
        with Emitter(address, namespace=namespace, prefix=prefix, send_timeout_s=timeout) as emitter:
            operation = emitter.to(*rooms).except_(*except_)
            (operation.volatile if volatile else operation).emit(event, *args)
            emitter.flush(timeout)
    except (ZmqioError, ValueError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.option("--port", default=8000, show_default=True, help="Port of the first node; the others follow.")
@click.option("--broker-port", default=5555, show_default=True, help="First of the broker's four ports.")
@click.option("--nodes", type=click.IntRange(1, len(NODE_NAMES)), default=2, show_default=True)
@click.option("--log-format", type=click.Choice(["auto", "console", "json"]), default="auto", show_default=True)
@click.option("--log-level", type=click.Choice(LEVELS), default="warning", show_default=True)
def demo(port: int, broker_port: int, nodes: int, log_format: str, log_level: str) -> None:
    """Start a broker, two nodes and a chat page. Ctrl-C stops everything."""
    options = DemoOptions(port, broker_port, nodes, log_format, log_level)
    try:
        sys.exit(run_demo(options, Console()))
    except OSError as error:
        raise click.ClickException(f"{error}; choose others with --port and --broker-port") from error


class _WrongOptionError(click.ClickException):
    exit_code = 2


def _count(text: str) -> int | str:
    """A number, or a word that is judged elsewhere."""
    return int(text) if text.isdecimal() else text


def _from_json(number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(
            f"value {number} is not JSON ({error}): {text[:80]!r}. Text wants its own quotes: '\"text\"'"
        ) from error
