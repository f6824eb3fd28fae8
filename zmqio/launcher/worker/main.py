"""One worker process: `python -m zmqio.launcher.worker.main`, with its part as JSON in `ZMQIO_SERVE_WORKER`.

Imports the app, serves it on the connections that come over the socket to its parent, or over links to acceptors
that come over it, and ends when it is told to (SIGTERM) or when the parent is gone.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import structlog

from zmqio.exceptions import ServeError
from zmqio.hosting.accepted_server import AcceptedServer
from zmqio.hosting.event_loop import run as run_on_loop
from zmqio.hosting.options import HttpOptions
from zmqio.launcher.app_import import AppFailedError, import_app
from zmqio.launcher.rlimits import open_many_files
from zmqio.launcher.worker.messages import Failed, WorkerReady, encode
from zmqio.launcher.worker.parent_link import ParentLink
from zmqio.launcher.worker.spec import ENVIRONMENT, WorkerSpec
from zmqio.logs import configure_logs

__all__ = ["main"]

log = structlog.get_logger(__name__)

EXIT_FAILED = 3
"""Exit code of a worker that has told why it cannot serve."""


class Worker:
    """The app, its server, and the links that bring the connections.

    Args:
        part: what to do.
        app: the app.
        link: the socket to the parent.
    """

    def __init__(self, part: WorkerSpec, app: Any, link: socket.socket) -> None:
        self._part = part
        self._server = AcceptedServer(
            app,
            HttpOptions(**part.http),
            started=self._started,
            before_shutdown=self._before_shutdown,
        )
        self._acceptors: set[ParentLink] = set()
        self._parent = (
            ParentLink(link, take=self._join, lost=_lose_acceptor, gone=self._parent_gone)
            if part.takes_links
            else self._source(link, self._parent_gone)
        )

    async def run(self) -> None:
        """Serve until the worker is told to stop."""
        try:
            await self._server.serve()
        finally:
            for link in (self._parent, *self._acceptors):
                link.close()

    def _started(self) -> None:
        self._parent.open()
        self._parent.tell(WorkerReady())

    async def _before_shutdown(self) -> None:
        await self._parent.finish()  # first: after it no more acceptors come
        await asyncio.gather(*(link.finish() for link in self._acceptors))

    def _source(self, link: socket.socket, gone: Callable[[], None]) -> ParentLink:
        """A link that brings connections, and is told how many of its own have ended."""

        def ended(more: int) -> None:
            made.tell_closed(more)

        intake = self._server.intake(ended)
        made = ParentLink(link, take=intake.take, lost=intake.lost, gone=gone)
        return made

    def _join(self, link: socket.socket) -> None:
        """Take connections from one more acceptor; that it goes away ends no connection."""

        def leave() -> None:
            self._acceptors.discard(made)
            made.close()

        made = self._source(link, leave)
        self._acceptors.add(made)
        made.open()

    def _parent_gone(self) -> None:
        """End as after SIGTERM; should that hang, SIGALRM kills."""
        log.warning("parent_gone")
        signal.alarm(max(1, round(self._part.stop_limit_s)))
        signal.raise_signal(signal.SIGTERM)


def _lose_acceptor() -> None:
    """Nothing to count: the acceptor sees its end closed, and asks for another link."""


def main() -> None:
    """Run the worker that the environment describes."""
    part = WorkerSpec.from_json(os.environ.pop(ENVIRONMENT))
    open_many_files()
    configure_logs(part.log_format, part.log_level, process=f"worker {part.slot}")
    if part.import_path not in sys.path:
        sys.path.insert(0, part.import_path)
    link = socket.socket(fileno=part.link_fd)
    link.set_inheritable(False)  # processes that the app starts must not hold it open
    try:
        worker = Worker(part, import_app(part.app), link)
    except ServeError as error:
        _fail(link, Failed(str(error), error.traceback if isinstance(error, AppFailedError) else ""))
    try:
        run_on_loop(worker.run())
    except SystemExit:
        _fail(link, Failed("the lifespan of the app failed to start"))
    sys.exit(0)


def _fail(link: socket.socket, report: Failed) -> Any:
    """Tell the parent why, and end."""
    try:
        link.setblocking(True)
        link.sendall(encode(report))
    except OSError:
        sys.stderr.write(f"{report.traceback}\n{report.reason}\n")  # nobody else is left to say it
    sys.exit(EXIT_FAILED)


if __name__ == "__main__":
    main()
