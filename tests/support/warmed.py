"""The process that `tests.support.forked` forks from: `python -m tests.support.warmed FD`.

FD is its control socket. A message on it is a request as JSON, with the descriptors that the fork is to have. The
answer is the process id of the fork. The warmed process ends when the test run closes the socket. Its forks are
killed with it.
"""

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys

from tests.support.fork_request import SIGNALS, ForkRequest, die_with_parent
from tests.support.forked import BROKER, MOST_DESCRIPTORS, REQUEST_BYTES, WARMED

__all__: list[str] = []

LATE_IMPORTS = (
    "fastapi",
    "httptools",
    "zmqio.__main__",
    "hypercorn.asyncio.run",
    "starlette.applications",
    "starlette.staticfiles",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "zmqio.hosting.http_protocol",
    "zmqio.hosting.quiet_server",
    "zmqio.hosting.uvicorn_logs",
    "zmqio.hosting.websocket_protocol",
)
"""Modules that the programs, uvicorn or hypercorn import when they run; without `zmqio.uvicorn`, which changes
uvicorn."""


def _import_all() -> None:
    """Import the programs and what they import when they run; then exempt them from garbage collection."""
    importlib.import_module(f"{BROKER}.__main__")
    for name in (*WARMED, *LATE_IMPORTS):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


class _Warmed:
    """Forks on request, and reports the exit codes of its forks."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._reports: dict[int, int] = {}
        self._wake, self._wake_end = socket.socketpair()
        self._wake.setblocking(False)
        self._wake_end.setblocking(False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_end.fileno())

    def run(self) -> ForkRequest | None:
        """Serve until the test run ends, then return None; in a fork, return the request for it.

        A fork comes back with its signals blocked: none may meet the handlers of this process in it.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._wake:
                        self._reap()
                        continue
                    data, descriptors, _, _ = socket.recv_fds(self._control, REQUEST_BYTES, MOST_DESCRIPTORS)
                    if not data:
                        return None
                    if self._fork(descriptors) == 0:
                        return ForkRequest(json.loads(data), descriptors[1:])

    def close(self) -> None:
        """Close the descriptors that only the warmed process uses."""
        signal.set_wakeup_fd(-1)
        for sock in (self._control, self._wake, self._wake_end):
            sock.close()

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(4096)
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                report = self._reports.pop(pid)
                with contextlib.suppress(BrokenPipeError):
                    os.write(report, str(os.waitstatus_to_exitcode(status)).encode())
                os.close(report)

    def _fork(self, descriptors: list[int]) -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        pid = os.fork()
        if pid:
            report, *passed = descriptors
            self._reports[pid] = report
            for descriptor in passed:
                os.close(descriptor)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            self._control.send(str(pid).encode())
        return pid


def main() -> None:
    """Run the warmed process or, in a fork, its program."""
    _import_all()
    warmed = _Warmed(socket.socket(fileno=int(sys.argv[1])))
    request = warmed.run()
    warmed.close()
    if request is not None:
        die_with_parent()
        request.become()()


if __name__ == "__main__":
    main()
