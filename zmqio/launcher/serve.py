"""`zmqio.serve`: run `zmqio serve` from a program."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from socket import socket
from typing import Any

from zmqio.config import address_from_environment, http_limits_from_environment
from zmqio.exceptions import ConfigError
from zmqio.hosting.event_loop import run as run_on_loop
from zmqio.hosting.requirements import require_web_server
from zmqio.launcher.listener import (
    BindAddress,
    listen_group,
    parse_bind,
    parse_metrics_address,
    remove_socket_file,
)
from zmqio.launcher.options import ServeOptions, acceptor_count, check_tls
from zmqio.launcher.rlimits import raise_open_files_limit
from zmqio.launcher.supervisor import Supervisor
from zmqio.logger import get_logger
from zmqio.logs import configure_logs

__all__ = ["serve"]

log = get_logger(__name__)

_WORKER_MODULE = "zmqio.launcher.worker.main"


def serve(app: str, **options: Any) -> None:
    """Serve an ASGI app with several processes on one port, until SIGINT or SIGTERM.

    The equivalent of the command `zmqio serve`, to be called in the main thread.

    Args:
        app: the name of the app as "module:attribute". The app itself is not accepted: every worker is a new
            process that imports it, so that sockets, locks and threads of this process are never shared.
        options: fields of `ServeOptions` by name, such as `workers=4`, `bind="127.0.0.1:8000"`,
            `broker="tcp://127.0.0.1:5555"`, `sticky="sid"`. Without `broker`, the workers join the broker that
            `ZMQIO_ADAPTER` names; without that, a broker of their own is started.

    Raises:
        ConfigError: an option is unknown or cannot work, or the web server is not installed (`zmqio[server]`).
        ServeError: the address is in use, the app cannot be imported, or workers, acceptors or the broker keep
            exiting.
    """
    if getattr(sys.modules["__main__"].__spec__, "name", "") == _WORKER_MODULE:
        raise ConfigError(
            "zmqio.serve() was called while a worker imported the app; put the call under "
            "`if __name__ == '__main__':`"
        )
    require_web_server("zmqio serve")
    try:
        checked = ServeOptions(app, **{**_options_from_environment(), **options})
    except TypeError as error:
        raise ConfigError(str(error)) from error
    check_tls(checked)
    configure_logs(checked.log_format, checked.log_level, process="serve")
    raise_open_files_limit()
    with ExitStack() as opened:
        listeners = _open(opened, parse_bind(checked.bind), acceptor_count(checked))
        metrics = _open(opened, parse_metrics_address(checked.metrics), 1)[0] if checked.metrics else None
        run_on_loop(_serve(checked, listeners, metrics))


def _open(opened: ExitStack, bind: BindAddress, count: int) -> list[socket]:
    """Listen on an address until `opened` is closed."""
    listeners = listen_group(bind, count)
    opened.callback(remove_socket_file, bind)
    for listener in listeners:
        opened.callback(listener.close)
    return listeners


def _options_from_environment() -> dict[str, Any]:
    limits = http_limits_from_environment()
    return {
        "broker": address_from_environment(),
        "head_limit_s": limits.head_limit_s,
        "max_head_bytes": limits.max_head_bytes,
    }


async def _serve(options: ServeOptions, listeners: Sequence[socket], metrics: socket | None) -> None:
    await Supervisor(options, listeners, _import_path(), metrics).run()


def _import_path() -> str:
    """The folder in which this program looks for modules first: its own, or the current one."""
    main = getattr(sys.modules["__main__"], "__file__", None)
    started_as_module = sys.modules["__main__"].__spec__ is not None
    if main is None or started_as_module or Path(main).name == "zmqio":
        return str(Path.cwd())
    return str(Path(main).resolve().parent)
