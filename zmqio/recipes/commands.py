"""The commands `zmqio nginx-conf` and `zmqio haproxy-conf`: they print a configuration on standard output."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from zmqio.config import EngineOptions
from zmqio.exceptions import ConfigError
from zmqio.recipes.balancing import MODES, Balancing, Mode, parse_backend
from zmqio.recipes.haproxy import haproxy_conf
from zmqio.recipes.nginx import nginx_conf

__all__ = ["haproxy_command", "nginx_command"]

Function = TypeVar("Function", bound=Callable[..., Any])

_ENGINE = EngineOptions()
_OPTIONS = (
    click.option(
        "--node",
        "nodes",
        multiple=True,
        required=True,
        metavar="[TAG=]HOST:PORT",
        help="Address of a node, with its node tag for --mode tag. Repeat it for each node.",
    ),
    click.option(
        "--mode",
        type=click.Choice(MODES),
        default="address",
        show_default=True,
        help="How a node is chosen. address: by the client's IP address. tag: by the node tag in the session id "
        "(exact; requires tags). round-robin: in turn (the nodes require a broker).",
    ),
    click.option("--listen", default="80", show_default=True, metavar="[HOST:]PORT", help="Address for clients."),
    click.option("--path", default="/socket.io", show_default=True, help="Path of Socket.IO on the nodes."),
    click.option(
        "--clients",
        type=click.IntRange(min=1),
        default=10_000,
        show_default=True,
        metavar="N",
        help="Most clients connected at the same time.",
    ),
    click.option(
        "--ping-interval",
        type=float,
        default=_ENGINE.ping_interval_s,
        show_default=True,
        metavar="SECONDS",
        help="The nodes' `ping_interval_s` option. Time limits are derived from it.",
    ),
    click.option(
        "--ping-timeout",
        type=float,
        default=_ENGINE.ping_timeout_s,
        show_default=True,
        metavar="SECONDS",
        help="The nodes' `ping_timeout_s` option.",
    ),
    click.option(
        "--max-payload",
        type=int,
        default=_ENGINE.max_payload_bytes,
        show_default=True,
        metavar="BYTES",
        help="The nodes' `max_payload_bytes` option.",
    ),
    click.option(
        "--outer-proxy",
        "outer_proxies",
        multiple=True,
        metavar="ADDRESS",
        help="Address or network of a proxy in front of this one, for example one that terminates TLS. Its "
        "X-Forwarded-For, -Proto and -Host headers are kept; those of others are replaced. Repeatable.",
    ),
)


def _shared_options(function: Function) -> Function:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.command("nginx-conf")
@_shared_options
@click.option(
    "--run-dir",
    metavar="FOLDER",
    help="Folder for all files that nginx writes, so that it can run without root. [default: nginx's own]",
)
def nginx_command(run_dir: str | None, **options: Any) -> None:
    """Print a complete nginx configuration for the nodes.

    Example: zmqio nginx-conf --node 127.0.0.1:8000 --node 127.0.0.1:8001 > nginx.conf
    """
    _print(lambda balancing: nginx_conf(balancing, run_dir), **options)


@click.command("haproxy-conf")
@_shared_options
def haproxy_command(**options: Any) -> None:
    """Print a complete HAProxy configuration for the nodes.

    Example: zmqio haproxy-conf --node 127.0.0.1:8000 --node 127.0.0.1:8001 > haproxy.cfg
    """
    _print(haproxy_conf, **options)


def _print(
    write: Callable[[Balancing], str],
    *,
    nodes: tuple[str, ...],
    mode: Mode,
    listen: str,
    path: str,
    clients: int,
    ping_interval: float,
    ping_timeout: float,
    max_payload: int,
    outer_proxies: tuple[str, ...],
) -> None:
    try:
        engine = EngineOptions(
            ping_interval_s=ping_interval, ping_timeout_s=ping_timeout, max_payload_bytes=max_payload
        )
        backends = [parse_backend(node) for node in nodes]
        balancing = Balancing(backends, mode, listen, path, clients, engine, outer_proxies)
        click.echo(write(balancing), nl=False)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
