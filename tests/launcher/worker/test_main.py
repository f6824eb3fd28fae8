"""The worker program; test_process and tests/e2e have its behaviour as a child."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.client import HTTPResponse

from tests.support.cluster import ROOT, process_environment
from tests.support.timing import LIMIT_S
from zmqio.hosting.options import HttpOptions
from zmqio.launcher.worker.messages import (
    FD_MARKER,
    ConnectionsClosed,
    WorkerAlive,
    WorkerMessage,
    WorkerReady,
    WorkerStopping,
    encode_worker_message,
)
from zmqio.launcher.worker.spec import WORKER_SPEC_VARIABLE, WorkerSpec

COMMAND = [sys.executable, "-m", "zmqio.launcher.worker.main"]


@contextmanager
def worker(app: str, *, receives_links: bool = False) -> Iterator[tuple["subprocess.Popen[str]", socket.socket]]:
    """Run a worker; yield its process and the parent's end of the link."""
    ours, theirs = socket.socketpair()
    with theirs:
        logs = {"log_format": "json", "log_level": "warning"}
        spec = WorkerSpec(
            app, 1, theirs.fileno(), str(ROOT), LIMIT_S, asdict(HttpOptions()), receives_links, **logs
        )
        process = subprocess.Popen(
            COMMAND,
            env=process_environment() | {WORKER_SPEC_VARIABLE: spec.to_json()},
            pass_fds=[theirs.fileno()],
            cwd="/",
            stderr=subprocess.PIPE,
            text=True,
        )
    ours.settimeout(LIMIT_S)
    with process, ours:
        try:
            yield process, ours
        finally:
            process.kill()


def test_worker_exits_with_its_parent() -> None:
    with worker("tests.support.serve_app:app") as (process, link):
        expect(link, WorkerReady())
        link.close()
        _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == -signal.SIGTERM  # as uvicorn exits after SIGTERM
    assert "parent_lost" in errors


def test_failure_is_written_to_standard_error_when_the_parent_is_gone() -> None:
    with worker("no_such_module:app") as (process, link):
        link.close()
        _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 3
    assert "no module named 'no_such_module'" in errors


def get(connection: socket.socket) -> None:
    """Send one request and read the whole answer."""
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with HTTPResponse(connection) as response:
        response.begin()
        assert response.status == 200
        assert response.read()


def ask(link: socket.socket) -> socket.socket:
    """Pass a connection over a link and have one request answered."""
    ours, theirs = socket.socketpair()
    ours.settimeout(LIMIT_S)
    with theirs:
        socket.send_fds(link, [FD_MARKER], [theirs.fileno()])
    get(ours)
    return ours


def acceptor(control: socket.socket) -> socket.socket:
    """Link a new acceptor; return its end of the link."""
    ours, theirs = socket.socketpair()
    ours.settimeout(LIMIT_S)
    with theirs:
        socket.send_fds(control, [FD_MARKER], [theirs.fileno()])
    return ours


def expect(link: socket.socket, message: WorkerMessage) -> None:
    """Read one message; the next one may have arrived with it."""
    expected = encode_worker_message(message)
    assert link.recv(len(expected), socket.MSG_WAITALL) == expected


def next_message(control: socket.socket) -> bytes:
    """The next message that is not a heartbeat."""
    heartbeat = encode_worker_message(WorkerAlive())
    with control.makefile("rb") as lines:
        return next(line for line in lines if line != heartbeat)


def test_heartbeats_begin_when_the_worker_is_ready() -> None:
    with worker("tests.support.serve_app:app") as (_, link):
        expect(link, WorkerReady())
        expect(link, WorkerAlive())
        expect(link, WorkerAlive())


def test_each_acceptor_gets_reports_of_its_own_connections_which_outlive_it() -> None:
    with worker("tests.support.serve_app:app", receives_links=True) as (process, control):
        expect(control, WorkerReady())
        first, second = acceptor(control), acceptor(control)
        here, there = ask(first), ask(second)
        with here, there, second:
            first.close()
            there.close()
            expect(second, ConnectionsClosed(1))
            third = acceptor(control)
            ask(third).close()
            expect(third, ConnectionsClosed(1))
            get(here)
            process.send_signal(signal.SIGTERM)
            assert next_message(control) == encode_worker_message(WorkerStopping())
            last = acceptor(control)  # in transit
            control.shutdown(socket.SHUT_WR)
            for link in (second, third, last):
                with link:
                    expect(link, WorkerStopping())
                    ask(link).close()  # in transit, too
                    link.shutdown(socket.SHUT_WR)
        process.communicate(timeout=LIMIT_S)
    assert process.returncode == -signal.SIGTERM
