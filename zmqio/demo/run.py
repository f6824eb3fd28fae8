"""Start a broker and the nodes, keep them running, and stop all of them."""

import contextlib
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from socket import socket
from types import FrameType

import click

from zmqio.config import DEFAULT_ADDRESS
from zmqio.demo.node_spec import ENVIRONMENT, DemoNodeSpec
from zmqio.demo.ports import HOST, first_free, listen
from zmqio.demo.process import MAX_CRASHES, QUICK_CRASH_S, DemoProcess, describe_exit, open_standard_streams
from zmqio.hosting.requirements import require_web_server
from zmqio.metrics.exposition import has_metrics

__all__ = ["NODE_NAMES", "DemoOptions", "run_demo"]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NODE_NAMES = "ABCDEFGH"
BROKER_PORTS = 4
RESTART_AFTER_S = 2.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Options of `zmqio demo`.

    Attributes:
        port: preferred port of the first node; the others use the next ones.
        broker_port: preferred first of the broker's four ports.
        nodes: number of node processes.
        log_format, log_level: for the nodes and the broker.
    """

    port: int = 8000
    broker_port: int = 5555
    nodes: int = 2
    log_format: str = "auto"
    log_level: str = "info"


class _StopRequested(Exception):
    """The demo received a signal to stop."""


def run_demo(options: DemoOptions) -> int:
    """Run until SIGINT or SIGTERM. Return the exit code: 0, or 1 if a process crashed too often.

    Raises:
        ConfigError: the web server is not installed (`zmqio[server]`).
        OSError: no free ports.
    """
    require_web_server("zmqio demo")
    open_standard_streams()
    listeners = [_listen(options.port + index) for index in range(options.nodes)]
    broker_port = first_free(options.broker_port, BROKER_PORTS)
    if broker_port != options.broker_port:
        taken = f"{options.broker_port}-{options.broker_port + BROKER_PORTS - 1}"
        click.echo(_port_moved(taken, f"the broker uses {broker_port}"))
    address = f"tcp://{HOST}:{broker_port}"
    broker, nodes = _processes(options, address, listeners)
    previous = [signal.signal(number, _raise_stop_requested) for number in STOP_SIGNALS]
    try:
        for process in (broker, *nodes):
            process.start(time.monotonic())
        _announce(broker, nodes)
        click.echo(_welcome(listeners, address, broker))
        return _watch([broker, *nodes], on_start=lambda process: _started_again(process, broker, nodes))
    except _StopRequested:
        return 0
    finally:
        _stop(nodes, broker)
        for number, handler in zip(STOP_SIGNALS, previous, strict=True):
            signal.signal(number, handler)


def _listen(preferred: int) -> socket:
    listener = listen(preferred)
    port = listener.getsockname()[1]
    if port != preferred:
        click.echo(_port_moved(str(preferred), f"a node uses {port}"))
    return listener


def _processes(
    options: DemoOptions, address: str, listeners: list[socket]
) -> tuple[DemoProcess, list[DemoProcess]]:
    urls = {NODE_NAMES[i]: _url(listener) for i, listener in enumerate(listeners)}
    log_format = _log_format(options.log_format)
    logs = ["--log-format", log_format, "--log-level", options.log_level]
    command = [sys.executable, "-m", "zmqio_broker", "--bind", address, "--stop-with-stdin", *logs]
    broker = DemoProcess("broker", command)
    nodes = []
    for name, listener in zip(urls, listeners, strict=True):
        fd = listener.fileno()
        spec = DemoNodeSpec(name, urls, address, fd, log_format, options.log_level, True, _program())
        command = [sys.executable, "-m", "zmqio.demo.node"]
        nodes.append(DemoProcess(f"node {name}", command, {ENVIRONMENT: spec.to_json()}, (fd,)))
    return broker, nodes


def _log_format(log_format: str) -> str:
    """Resolve `auto` here: the processes write to a pipe and cannot see whether it leads to a terminal."""
    if log_format != "auto":
        return log_format
    return "console" if sys.stderr is not None and sys.stderr.isatty() else "json"


def _announce(broker: DemoProcess, nodes: list[DemoProcess]) -> None:
    """Write the process id of the broker to the nodes, which show it on their page."""
    assert broker.process is not None
    for node in nodes:
        node.write_line(str(broker.process.pid))


def _started_again(process: DemoProcess, broker: DemoProcess, nodes: list[DemoProcess]) -> None:
    assert process.process is not None
    click.secho(f"{process.name} runs again. To kill it:  kill -9 {process.process.pid}", fg="yellow")
    _announce(broker, nodes)


def _watch(
    processes: list[DemoProcess],
    now: Callable[[], float] = time.monotonic,
    on_start: Callable[[DemoProcess], None] = lambda _: None,
) -> int:
    """Restart processes that end. Return the exit code when one of them crashes too often."""
    while True:
        time.sleep(POLL_S)
        for process in processes:
            assert process.process is not None
            if process.restart_at is not None:
                if now() >= process.restart_at:
                    process.start(now())
                    on_start(process)
            elif (code := process.process.poll()) is not None:
                process.close_pipes()
                if process.crashed_too_often(now()):
                    _report_crashes(process, describe_exit(code))
                    return 1
                process.restart_at = now() + RESTART_AFTER_S
                click.secho(
                    f"{process.name} has ended ({describe_exit(code)}); "
                    f"it restarts in {RESTART_AFTER_S:.0f} s. Watch the page.",
                    fg="yellow",
                )


def _report_crashes(process: DemoProcess, reason: str) -> None:
    click.secho(
        f"\n{process.name} has ended {MAX_CRASHES} times in a row within {QUICK_CRASH_S:.0f} s of its start "
        f"(the last time: {reason}). The demo gives up.",
        fg="red",
    )
    if lines := process.last_errors():
        click.secho(f"Last lines of {process.name}'s error output:", fg="red")
        for line in lines:
            click.echo(f"  {line}")


def _stop(nodes: list[DemoProcess], broker: DemoProcess) -> None:
    with contextlib.suppress(OSError, SystemExit):  # the terminal itself may be gone
        click.echo("\nStopping the nodes, then the broker ...")
    for group in (nodes, [broker]):
        for process in group:
            process.stop()
        for process in group:
            process.wait()
    with contextlib.suppress(OSError, SystemExit):
        click.echo("Everything that the demo started has stopped.")


def _raise_stop_requested(_number: int, _frame: FrameType | None) -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave processes behind
    raise _StopRequested


def _welcome(listeners: list[socket], address: str, broker: DemoProcess) -> str:
    assert broker.process is not None
    urls = [_url(listener) for listener in listeners]
    adapter = "" if address == DEFAULT_ADDRESS else f"--adapter {address} "
    observed = "" if address == DEFAULT_ADDRESS else address
    lines = [
        f"zmqio demo, broker at {address}",
        "",
        "Open these in two tabs and write a message in one of them:",
        "",
    ]
    lines += [f"  {click.style(url, fg='cyan', bold=True)}   node {NODE_NAMES[i]}" for i, url in enumerate(urls)]
    lines += [
        "",
        f"Long-polling only:           {urls[0]}/?transport=polling",
        "Publish from a shell:",
        f"  {_program()} emit {adapter}--to lobby 'chat message' '{{\"text\": \"hello\"}}'",
        f"Metrics for Prometheus:      {_metrics(urls[0])}",
        f"Watch nodes and broker:      {_program()} {_observer_command()} {observed}".rstrip(),
        f"Kill the broker, and watch:  kill -9 {broker.process.pid}",
        "",
        "Next: README.md and examples/.  Ctrl-C stops everything.",
    ]
    return "\n".join(lines)


def _program() -> str:
    """The command that runs `zmqio` in a shell: its path if the environment of the demo is not activated."""
    return "zmqio" if shutil.which("zmqio") else f"{shlex.quote(sys.executable)} -m zmqio"


def _metrics(url: str) -> str:
    return f"{url}/metrics" if has_metrics() else "pip install 'zmqio[prometheus]'"


def _observer_command() -> str:
    """The command that shows the cluster: the table needs rich (`zmqio[top]`)."""
    return "top" if find_spec("rich") else "status"


def _url(listener: socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}"


def _port_moved(taken: str, instead: str) -> str:
    return click.style(f"port {taken} is taken: {instead}", fg="yellow")
