"""A worker process: `python -m zmqio.launcher.worker.main`, with a `WorkerSpec` as JSON in `ZMQIO_SERVE_WORKER`.

Imports the app and serves it on connections that the parent or the acceptors pass to the process. Exits after
SIGTERM, or when the parent is gone.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from zmqio.exceptions import ServeError
from zmqio.hosting.accepted_server import AcceptedServer
from zmqio.hosting.descriptor_reserve import DescriptorReserve
from zmqio.hosting.event_loop import run as run_on_loop
from zmqio.hosting.options import HttpOptions
from zmqio.launcher.app_import import AppImportError, import_app
from zmqio.launcher.rlimits import raise_open_files_limit
from zmqio.launcher.silence import HEARTBEAT_S
from zmqio.launcher.worker.messages import WorkerFailed, WorkerReady, WorkerSamples, encode_worker_message
from zmqio.launcher.worker.orphan import kill_without_parent
from zmqio.launcher.worker.parent_link import ParentLink
from zmqio.launcher.worker.spec import WORKER_SPEC_VARIABLE, WorkerSpec
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.logs import configure_logs, print_error
from zmqio.metrics.process import PROCESS_METRICS
from zmqio.timer_grid import next_on_grid

__all__ = ["main"]

log = get_logger(__name__)

FAILED_EXIT_CODE = 3
"""Exit code of a worker that has reported why it cannot serve."""


class Worker:
    """The app, its server, and the links over which connections arrive.

    Args:
        spec: the settings.
        app: an ASGI app.
        link: the socket to the parent.
    """

    def __init__(self, spec: WorkerSpec, app: Any, link: socket.socket) -> None:
        self._spec = spec
        self._server = AcceptedServer(
            app,
            HttpOptions(**spec.http),
            on_started=self._on_started,
            before_shutdown=self._before_shutdown,
            on_stopped=self._on_stopped,
        )
        self._acceptors: set[ParentLink] = set()
        self._heartbeat: asyncio.TimerHandle | None = None
        self._limited_log = LimitedLog(log, burst=1)
        self._parent = (
            ParentLink(
                link,
                on_socket=self._add_acceptor,
                on_dropped=_ignore_dropped_acceptor,
                on_end=self._on_parent_lost,
            )
            if spec.receives_links
            else self._connection_link(link, self._on_parent_lost)
        )

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        try:
            await self._server.serve()
        finally:
            if self._heartbeat is not None:
                self._heartbeat.cancel()
            for link in (self._parent, *self._acceptors):
                link.close()

    def _on_started(self) -> None:
        self._parent.open()
        self._parent.send(WorkerReady())
        self._schedule_heartbeat()

    def _schedule_heartbeat(self) -> None:
        # On a grid: the parent wakes up once for the heartbeats of all its children.
        loop = asyncio.get_running_loop()
        self._heartbeat = loop.call_at(next_on_grid(loop.time(), HEARTBEAT_S), self._send_heartbeat)

    def _send_heartbeat(self) -> None:
        self._schedule_heartbeat()
        self._parent.send_heartbeat(self._report())

    def _on_stopped(self) -> None:
        """Report the final counters: those of sessions that ended with the app are among them."""
        if (report := self._report()) is not None:
            self._parent.send_last(report)

    def _report(self) -> WorkerSamples | None:
        """Read the metrics, if the parent serves them. A failure must not cost the heartbeat."""
        if not self._spec.reports_metrics:
            return None
        try:
            return WorkerSamples(tuple(PROCESS_METRICS.samples()))
        except Exception:  # noqa: BLE001 - servers in other threads change what is read here
            self._limited_log.error("metrics_report_failed", exc_info=True)
            return None

    async def _before_shutdown(self) -> None:
        await self._parent.finish()  # first, because it may still bring acceptors
        await asyncio.gather(*(link.finish() for link in self._acceptors))

    def _connection_link(self, link: socket.socket, on_end: Callable[[], None]) -> ParentLink:
        """Create a link that receives connections and reports how many of them are closed."""

        def on_closed(count: int) -> None:
            created.report_closed(count)

        source = self._server.add_source(on_closed)
        created = ParentLink(
            link,
            on_socket=source.serve,
            on_dropped=source.count_dropped,
            on_end=on_end,
            reserve=DescriptorReserve(),
        )
        return created

    def _add_acceptor(self, link: socket.socket) -> None:
        """Receive connections from another acceptor. They stay open when the acceptor exits."""

        def on_end() -> None:
            self._acceptors.discard(created)
            created.close()

        created = self._connection_link(link, on_end)
        self._acceptors.add(created)
        created.open()

    def _on_parent_lost(self) -> None:
        """Stop as after SIGTERM; `kill_without_parent` ends the process if that takes too long."""
        log.warning("parent_lost")
        signal.raise_signal(signal.SIGTERM)


def _ignore_dropped_acceptor() -> None:
    """Do nothing: the acceptor sees its end closed and asks the supervisor for another link."""


def main() -> None:
    """Run the worker that the environment describes."""
    spec = WorkerSpec.from_json(os.environ.pop(WORKER_SPEC_VARIABLE))
    raise_open_files_limit()
    configure_logs(spec.log_format, spec.log_level, process=f"worker {spec.slot}")
    if spec.import_path not in sys.path:
        sys.path.insert(0, spec.import_path)
    link = socket.socket(fileno=spec.link_fd)
    link.set_inheritable(False)  # child processes of the app must not keep it open
    kill_without_parent(link, spec.stop_timeout_s)
    try:
        worker = Worker(spec, import_app(spec.app), link)
    except ServeError as error:
        _fail(link, WorkerFailed(str(error), error.traceback if isinstance(error, AppImportError) else ""))
    try:
        run_on_loop(worker.run())
    except ServeError as error:
        _fail(link, WorkerFailed(str(error)))
    except SystemExit:
        _fail(link, WorkerFailed(f"cannot serve app {spec.app!r}: its lifespan failed to start"))
    sys.exit(0)


def _fail(link: socket.socket, message: WorkerFailed) -> Any:
    """Report the failure to the parent and exit."""
    try:
        link.setblocking(True)
        link.sendall(encode_worker_message(message))
    except OSError:
        print_error(f"{message.traceback}\n{message.reason}\n")  # the parent is gone
    sys.exit(FAILED_EXIT_CODE)


if __name__ == "__main__":
    main()
