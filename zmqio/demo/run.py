"""Start a broker and the nodes, keep them running, and stop all of them."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from socket import socket
from types import FrameType

from rich.console import Console
from rich.panel import Panel

from zmqio.config import DEFAULT_ADDRESS
from zmqio.demo.node_spec import ENVIRONMENT, DemoNodeSpec
from zmqio.demo.ports import HOST, first_free, listen

__all__ = ["DemoOptions", "run_demo"]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NODE_NAMES = "ABCDEFGH"
BROKER_PORTS = 4
STOP_S = 8.0
"""How long a process may take to stop before it is killed."""
RESTART_AFTER_S = 2.0
MOST_RESTARTS = 10
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What `zmqio demo` was asked for.

    Attributes:
        port: preferred port of the first node; the others follow.
        broker_port: preferred first of the broker's four ports.
        nodes: how many node processes.
        log_format, log_level: for the nodes and the broker.
    """

    port: int = 8000
    broker_port: int = 5555
    nodes: int = 2
    log_format: str = "auto"
    log_level: str = "info"


@dataclass(slots=True)
class _Child:
    """A process of the demo and how to start it again."""

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    pass_fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    restart_at: float | None = None

    def start(self) -> None:
        # A session of its own: Ctrl-C reaches only the demo, which stops the nodes before the broker.
        self.process = subprocess.Popen(
            self.command,
            env={**os.environ, **self.environment},
            pass_fds=self.pass_fds,
            stdin=subprocess.PIPE,  # ends with this process, and so does the child
            start_new_session=True,
        )

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)  # one that somebody stopped could not hear the next
            self.process.terminate()

    def wait(self) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.forget()

    def forget(self) -> None:
        """Close what led to a process that has ended."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()


class _Stopped(Exception):
    """Somebody asked the demo to stop."""


def run_demo(options: DemoOptions, console: Console) -> int:
    """Run until SIGINT or SIGTERM; returns the exit code of the command."""
    listeners = [_listen(console, options.port + index) for index in range(options.nodes)]
    broker_port = first_free(options.broker_port, BROKER_PORTS)
    if broker_port != options.broker_port:
        console.print(_moved(f"{options.broker_port}-{options.broker_port + 3}", f"the broker uses {broker_port}"))
    address = f"tcp://{HOST}:{broker_port}"
    broker, nodes = _children(options, address, listeners)
    children = [broker, *nodes]
    previous = [signal.signal(number, _raise_stopped) for number in STOP_SIGNALS]
    try:
        for child in children:
            child.start()
        console.print(_welcome(listeners, address, broker))
        return _watch(children, console)
    except _Stopped:
        return 0
    finally:
        _stop(nodes, broker, console)
        for number, handler in zip(STOP_SIGNALS, previous, strict=True):
            signal.signal(number, handler)


def _listen(console: Console, preferred: int) -> socket:
    listener = listen(preferred)
    port = listener.getsockname()[1]
    if port != preferred:
        console.print(_moved(str(preferred), f"a node uses {port}"))
    return listener


def _children(options: DemoOptions, address: str, listeners: list[socket]) -> tuple[_Child, list[_Child]]:
    urls = {NODE_NAMES[i]: _url(listener) for i, listener in enumerate(listeners)}
    logs = {"log_format": options.log_format, "log_level": options.log_level}
    broker = _Child(
        "broker",
        [sys.executable, "-m", "zmqio_broker", "--bind", address, "--stop-with-stdin", *_log_options(options)],
    )
    nodes = []
    for name, listener in zip(urls, listeners, strict=True):
        part = DemoNodeSpec(name, urls, address, listener.fileno(), ends_with_stdin=True, **logs)
        command = [sys.executable, "-m", "zmqio.demo.node"]
        nodes.append(_Child(f"node {name}", command, {ENVIRONMENT: part.to_json()}, (listener.fileno(),)))
    return broker, nodes


def _log_options(options: DemoOptions) -> list[str]:
    return ["--log-format", options.log_format, "--log-level", options.log_level]


def _watch(children: list[_Child], console: Console, now: Callable[[], float] = time.monotonic) -> int:
    """Start what ends again, a few times; returns the exit code when one ends too often."""
    while True:
        time.sleep(POLL_S)
        for child in children:
            assert child.process is not None
            if child.restart_at is not None:
                if now() >= child.restart_at:
                    child.restart_at = None
                    child.start()
            elif (code := child.process.poll()) is not None:
                child.forget()
                if child.restarts >= MOST_RESTARTS:
                    console.print(f"[red]{child.name} has ended {child.restarts + 1} times: giving up[/red]")
                    return 1
                child.restarts += 1
                child.restart_at = now() + RESTART_AFTER_S
                console.print(
                    f"[yellow]{child.name} has ended ({_ending(code)}); "
                    f"starting it again in {RESTART_AFTER_S:.0f} s. Watch the page.[/yellow]"
                )


def _stop(nodes: list[_Child], broker: _Child, console: Console) -> None:
    with contextlib.suppress(OSError, SystemExit):  # what has gone may be the terminal itself
        console.print("\nStopping the nodes, then the broker ...")
    for group in (nodes, [broker]):
        for child in group:
            child.stop()
        for child in group:
            child.wait()
    with contextlib.suppress(OSError, SystemExit):
        console.print("Everything that the demo started has stopped.")


def _raise_stopped(_number: int, _frame: FrameType | None) -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave processes behind
    raise _Stopped


def _welcome(listeners: list[socket], address: str, broker: _Child) -> Panel:
    assert broker.process is not None
    urls = [_url(listener) for listener in listeners]
    adapter = "" if address == DEFAULT_ADDRESS else f"--adapter {address} "
    lines = ["Open these in two tabs and write in one of them:", ""]
    lines += [f"  [bold cyan]{url}[/bold cyan]   node {NODE_NAMES[i]}" for i, url in enumerate(urls)]
    lines += [
        "",
        f"Long-polling only:        {urls[0]}/?transport=polling",
        "From another terminal:",
        f"  zmqio emit {adapter}--to lobby 'chat message' '{{\"text\": \"hello\"}}'",
        f"Kill the broker and see:  kill -9 {broker.process.pid}",
        "",
        "Where to look next: README.md, examples/.  Ctrl-C stops everything.",
    ]
    return Panel("\n".join(lines), title="zmqio demo", subtitle=f"broker at {address}", expand=False)


def _url(listener: socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}"


def _moved(taken: str, instead: str) -> str:
    return f"[yellow]port {taken} is taken: {instead}[/yellow]"


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
