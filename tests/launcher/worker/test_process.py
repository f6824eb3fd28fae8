"""A real worker process as its supervisor sees it."""

import json
import signal
import socket
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support.cluster import ROOT, process_environment
from tests.support.timing import LIMIT_S, wait_until
from zmqio.hosting.options import HttpOptions
from zmqio.ids import NodeTag
from zmqio.launcher.silence import CHECK_INTERVAL_S
from zmqio.launcher.worker.process import WorkerProcess
from zmqio.launcher.worker.spec import WORKER_SPEC_VARIABLE, WorkerSpec


class Observer:
    """Records notifications in order."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def worker_ready(self, _: WorkerProcess) -> None:
        self.events.append("ready")

    def worker_retired(self, _: WorkerProcess) -> None:
        self.events.append("retired")

    def worker_stalled(self, _: WorkerProcess) -> None:
        self.events.append("stalled")

    def worker_recovered(self, _: WorkerProcess) -> None:
        self.events.append("recovered")

    def worker_stopping(self, _: WorkerProcess) -> None:
        self.events.append("stopping")

    def worker_exited(self, _: WorkerProcess) -> None:
        self.events.append("exited")


async def start(app: str, folder: Path = ROOT) -> tuple[WorkerProcess, Observer]:
    observer = Observer()

    def environment(link_fd: int) -> dict[str, str]:
        spec = WorkerSpec(app, 1, link_fd, str(folder), LIMIT_S, asdict(HttpOptions()), log_level="error")
        return process_environment() | {WORKER_SPEC_VARIABLE: spec.to_json()}

    return await WorkerProcess.start(1, NodeTag("tag1"), observer, environment), observer


def ask(worker: WorkerProcess, close: bool) -> socket.socket:
    """Pass a connection with one request to the worker; return the client's end."""
    ours, theirs = socket.socketpair()
    keep = "close" if close else "keep-alive"
    ours.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nConnection: {keep}\r\n\r\n".encode())
    ours.setblocking(False)
    assert worker.pass_socket(theirs)
    return ours


async def answer(client: socket.socket) -> bytes:
    received = bytearray()

    def more() -> bool:
        try:
            received.extend(client.recv(65536))
        except BlockingIOError:
            return False
        return received.endswith(b"}")

    await wait_until(more, "the answer")
    return bytes(received)


async def test_worker_is_ready_serves_and_stops() -> None:
    worker, observer = await start("tests.support.serve_app:app")
    try:
        await wait_until(worker.ready_or_exited.is_set, "it to be ready")
        assert worker.was_ready
        assert observer.events == ["ready"]
        kept, closed = ask(worker, close=False), ask(worker, close=True)
        for client in (kept, closed):
            body = (await answer(client)).partition(b"\r\n\r\n")[2]
            assert json.loads(body)["pid"] == worker.pid
        await wait_until(lambda: worker.connections == 1, "the closed connection to be reported")
        kept.close()
        closed.close()
        await wait_until(lambda: worker.connections == 0, "the other one, too")
        worker.retire()
    finally:
        assert await worker.stop(LIMIT_S)
    assert observer.events == ["ready", "retired", "stopping", "stopping", "exited"]
    with socket.socket() as late:
        assert not worker.pass_socket(late)


async def test_silence_is_counted_from_the_last_heartbeat_until_the_stop() -> None:
    worker, observer = await start("tests.support.serve_app:app")
    for _ in range(100):
        worker.check()  # heartbeats begin when it is ready
    await wait_until(worker.ready_or_exited.is_set, "it to be ready")
    for _ in range(100):
        worker.check()
    assert worker.silent_s == 100 * CHECK_INTERVAL_S
    await wait_until(lambda: worker.silent_s == 0, "a heartbeat")
    worker.check()
    assert await worker.stop(LIMIT_S)
    assert worker.silent_s == 0
    worker.check()
    assert observer.events == ["ready", "stalled", "recovered", "stopping", "stopping", "exited"]


async def test_killed_worker_is_broken_and_has_exited() -> None:
    worker, observer = await start("tests.support.serve_app:app")
    await wait_until(worker.ready_or_exited.is_set, "it to be ready")
    worker.send_signal(signal.SIGKILL)
    await wait_until(worker.exited.is_set, "its exit")
    assert worker.exit_status == f"killed by {signal.SIGKILL.name}"
    assert worker.broken
    assert observer.events == ["ready", "stopping", "exited"]
    worker.send_signal(signal.SIGTERM)  # the process has exited


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 / 0", "cannot import app 'broken_app:app': ZeroDivisionError"),
        ("other = 1", "has no attribute 'app'"),
        (
            "async def app(scope, receive, send):\n"
            "    await receive()\n"
            "    await send({'type': 'lifespan.startup.failed', 'message': 'no'})\n",
            "its lifespan failed to start",
        ),
    ],
)
async def test_worker_that_cannot_serve_reports_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "broken_app.py").write_text(text)
    worker, observer = await start("broken_app:app", tmp_path)
    await wait_until(worker.exited.is_set, "its exit")
    assert worker.failure is not None
    assert reason in worker.failure.reason
    assert not worker.was_ready
    assert observer.events == ["stopping", "exited"]
    if "1 / 0" in text:
        assert "broken_app.py" in worker.failure.traceback
