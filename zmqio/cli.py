"""The `zmqio` command: broker, serve, emit, top, status, keygen, demo, nginx-conf and haproxy-conf."""

import os
import sys
from pathlib import Path
from typing import Any, get_args

import click

from zmqio import __version__
from zmqio.config import DEFAULT_ADDRESS, HTTP_LIMITS, address_from_environment
from zmqio.demo.run import NODE_NAMES, DemoOptions, run_demo
from zmqio.emitter import Emitter
from zmqio.exceptions import ConfigError, ProtocolError, ZmqioError
from zmqio.launcher.routing.worker_choice import Sticky
from zmqio.launcher.serve import serve as run_serve
from zmqio.logs import LEVELS
from zmqio.protocol.json_text import decode_json
from zmqio.recipes.commands import haproxy_command, nginx_command
from zmqio.server.admin.password import hash_password
from zmqio.top.commands import status_command, top_command
from zmqio.zeromq.key_pair import make_key_pair

__all__ = ["main"]

_log_format = click.option(
    "--log-format",
    type=click.Choice(["auto", "console", "json"]),
    default="auto",
    show_default=True,
    help="Format of log lines on standard error. auto: console on a terminal, json otherwise.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="zmqio")
def main() -> None:
    """Socket.IO for Python over many processes and machines, connected by one small ZeroMQ broker.

    \b
    Examples:
      zmqio demo                               two nodes and a chat page
      zmqio broker                             a broker on loopback
      zmqio serve chat:app --workers 4         an app on one port, in four processes
      zmqio emit --to lobby news '"hello"'     an event to the clients of all nodes
      zmqio top tcp://127.0.0.1:5555           nodes and brokers, live
      zmqio status tcp://127.0.0.1:5555        whether they are ready, for scripts
      zmqio keygen broker --out keys           keys for a network with strangers
      zmqio nginx-conf --node 127.0.0.1:8000   a configuration for nginx
      zmqio haproxy-conf --node 127.0.0.1:8000 the same for HAProxy
      zmqio admin-password                     the hash of the admin page's password
    """


main.add_command(nginx_command)
main.add_command(haproxy_command)
main.add_command(top_command)
main.add_command(status_command)


@main.command(
    add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def broker(arguments: tuple[str, ...]) -> None:
    """Run a broker. `zmqio broker --help` lists its options."""
    os.execv(sys.executable, [sys.executable, "-m", "zmqio_broker", *arguments])


@main.command(short_help="Serve an ASGI app on one port with several worker processes.")
@click.argument("app")
@click.option(
    "--workers",
    default="auto",
    show_default=True,
    metavar="N|auto",
    help="Number of worker processes. auto: one per CPU core.",
)
@click.option(
    "--acceptors",
    default="auto",
    show_default=True,
    metavar="N|auto",
    help="Number of processes that accept connections for the workers. auto: one for every two workers, rounded "
    "up. 1: the parent process accepts them itself.",
)
@click.option(
    "--bind",
    default="127.0.0.1:8000",
    show_default=True,
    metavar="HOST:PORT",
    help="Address to listen on. unix:PATH for a Unix socket.",
)
@click.option(
    "--broker",
    metavar="ADDRESS",
    help="Broker or NATS servers to connect to. [default: $ZMQIO_ADAPTER, otherwise a broker of its own]",
)
@click.option(
    "--sticky",
    type=click.Choice(get_args(Sticky)),
    help="How a connection is assigned to a worker. sid: a session to its owner, a new client to the worker with "
    "the fewest connections. address: a session to its owner, a new client by its IP address. none: round robin. "
    "[default: sid; address with TLS]",
)
@click.option("--node-tag", default="", metavar="PREFIX", help="Prefix of all node tags, at most 2 characters.")
@click.option("--ssl-certfile", default="", metavar="FILE", help="Serve TLS with this certificate (PEM file).")
@click.option(
    "--ssl-keyfile", default="", metavar="FILE", help="Private key, if the certificate file does not contain it."
)
@click.option(
    "--trusted-proxies",
    envvar="FORWARDED_ALLOW_IPS",
    default="127.0.0.1,::1",
    show_default=True,
    show_envvar=True,
    metavar="LIST",
    help="Addresses and networks whose X-Forwarded-For, -Proto and -Host headers are trusted. *: all.",
)
@click.option(
    "--drain",
    "drain_s",
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="A stopping worker disconnects its clients over this time.",
)
@click.option(
    "--head-timeout",
    "head_limit_s",
    default=HTTP_LIMITS.head_limit_s,
    show_default=True,
    envvar="ZMQIO_HEAD_LIMIT_S",
    show_envvar=True,
    metavar="SECONDS",
    help="Time limit for the head of a request. Beyond that, the connection is closed.",
)
@click.option(
    "--max-head-bytes",
    default=HTTP_LIMITS.max_head_bytes,
    show_default=True,
    envvar="ZMQIO_MAX_HEAD_BYTES",
    show_envvar=True,
    metavar="BYTES",
    help="Largest head of a request. Beyond that, the connection is closed.",
)
@click.option(
    "--worker-timeout",
    "worker_timeout_s",
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Kill and replace a worker that is stopped, or whose event loop is blocked, for this time. 0: never.",
)
@click.option(
    "--metrics",
    default="",
    metavar="ADDRESS",
    help="Serve the metrics of all processes for Prometheus at this HOST:PORT, over HTTP to everyone who can "
    "reach it. PORT alone is for this machine only. Needs zmqio[prometheus]. [default: off]",
)
@click.option(
    "--access-log",
    is_flag=True,
    help="Log each HTTP request and WebSocket: client, method, path without the query, status, bytes, duration.",
)
@click.option("--reload", is_flag=True, help="Restart the workers when a Python file changes.")
@_log_format
@click.option(
    "--log-level", type=click.Choice(LEVELS), default="info", show_default=True, help="Lowest level to log."
)
def serve(app: str, workers: str, acceptors: str, broker: str | None, **options: Any) -> None:
    """Serve the ASGI app APP (module:attribute) on one port with several worker processes.

    SIGHUP restarts the workers one by one. SIGTERM and Ctrl-C stop everything.

    Exit codes: 0 stopped, 1 it cannot serve (with the reason), 2 wrong option.

    Example: zmqio serve chat:app --workers 4 --bind 0.0.0.0:8000
    """
    counts = {"workers": _count(workers), "acceptors": _count(acceptors)}
    try:
        run_serve(app, **counts, broker=broker or address_from_environment(), **options)
    except ConfigError as error:
        raise _WrongOptionError(str(error)) from error
    except ZmqioError as error:
        raise click.ClickException(str(error)) from error


@main.command("admin-password")
def admin_password() -> None:
    """Print the hash of a password for `io.admin(password=...)`.

    Asks for the password on a terminal, otherwise reads it from the first line of standard input.

    Example: zmqio admin-password
    """
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    try:
        click.echo(hash_password(password))
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("event")
@click.argument("values", nargs=-1)
@click.option(
    "--adapter",
    metavar="ADDRESS",
    help=f"Address of the broker or of NATS servers. [default: $ZMQIO_ADAPTER, otherwise {DEFAULT_ADDRESS}]",
)
@click.option("--to", "rooms", multiple=True, metavar="ROOM", help="Send to members of ROOM only. Repeatable.")
@click.option("--except", "except_", multiple=True, metavar="ROOM", help="Exclude members of ROOM. Repeatable.")
@click.option("--namespace", default="/", show_default=True, metavar="NAME", help="Namespace of the clients.")
@click.option("--prefix", default="zmqio", show_default=True, help="The `prefix` option of the nodes.")
@click.option("--volatile", is_flag=True, help="Skip clients that cannot receive the event at once.")
@click.option("--timeout", default=2.0, show_default=True, metavar="SECONDS", help="Time limit for the broker.")
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
    """Send EVENT with VALUES (each a JSON text) to the clients of all nodes.

    Exit codes: 0 the broker has received the event, 1 it has not (with the reason), 2 wrong option or value.

    Example: zmqio emit --to lobby news '"hello"' '{"id": 7}'
    """
    args = [_from_json(number, text) for number, text in enumerate(values, start=1)]
    address = adapter or address_from_environment() or DEFAULT_ADDRESS
    try:
        with Emitter(address, namespace=namespace, prefix=prefix, send_timeout_s=timeout) as emitter:
            operation = (emitter.to(rooms) if rooms else emitter).except_(except_)
            (operation.volatile if volatile else operation).emit(event, *args)
            emitter.flush(timeout)
    except ProtocolError as error:
        raise click.UsageError(f"{event!r} cannot be sent: {error}") from error
    except ConfigError as error:
        raise _WrongOptionError(str(error)) from error
    except (ZmqioError, ValueError) as error:
        raise click.ClickException(str(error)) from error


@main.command(short_help="Make a pair of key files for a broker, a node or a sender.")
@click.argument("name")
@click.option(
    "--out",
    "folder",
    default=".",
    show_default=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder to write to; created if missing.",
)
@click.option(
    "--prefixes",
    default="",
    metavar="LIST",
    help="For an outside sender: the prefixes that it may publish to, separated by commas. [default: all]",
)
def keygen(name: str, folder: Path, prefixes: str) -> None:
    """Write NAME.key (the public key) and NAME.key_secret (readable by you only), and print the public key.

    Existing files are never overwritten.

    Example: zmqio keygen broker --out /etc/zmqio
    """
    try:
        public, public_path, secret_path = make_key_pair(name, folder, prefixes)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"public key   {public}\npublic file  {public_path}\nsecret file  {secret_path}")


@main.command()
@click.option(
    "--port", default=8000, show_default=True, help="Port of the first node. The others use the next ones."
)
@click.option("--broker-port", default=5555, show_default=True, help="First of the broker's four ports.")
@click.option(
    "--nodes", type=click.IntRange(1, len(NODE_NAMES)), default=2, show_default=True, help="Number of nodes."
)
@_log_format
@click.option(
    "--log-level", type=click.Choice(LEVELS), default="warning", show_default=True, help="Lowest level to log."
)
def demo(port: int, broker_port: int, nodes: int, log_format: str, log_level: str) -> None:
    """Start a broker, two nodes and a chat page. Ctrl-C stops everything.

    Processes that end are restarted. A process that crashes five times in a row ends the demo with exit code 1.

    Example: zmqio demo --nodes 3
    """
    options = DemoOptions(port, broker_port, nodes, log_format, log_level)
    try:
        sys.exit(run_demo(options))
    except ConfigError as error:
        raise _WrongOptionError(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error}; choose other ports with --port and --broker-port") from error


class _WrongOptionError(click.ClickException):
    exit_code = 2


def _count(text: str) -> int | str:
    """Return a number, or a text that `serve` checks."""
    return int(text) if text.isdecimal() else text


def _from_json(number: int, text: str) -> Any:
    try:
        return decode_json(text.strip())
    except ValueError as error:
        raise click.BadParameter(
            f"value {number} is not JSON: {text[:80]!r} ({str(error).removeprefix('the payload is not JSON: ')}). "
            "Write text with quotes of its own: '\"text\"'"
        ) from error
