"""The worker program itself; how it behaves is in test_worker_process and tests/e2e."""

import signal
import socket
import subprocess
import sys
from dataclasses import asdict

from tests.support.cluster import ROOT, process_environment
from tests.support.timing import LIMIT_S
from zmqio.launcher.part import ENVIRONMENT, Part
from zmqio.launcher.reports import Ready, encode
from zmqio.transport.uvicorn_accepted import HttpOptions

COMMAND = [sys.executable, "-m", "zmqio.launcher.worker"]


def start(app: str) -> tuple[subprocess.Popen[str], socket.socket]:
    ours, theirs = socket.socketpair()
    with theirs:
        part = Part(app, 1, theirs.fileno(), str(ROOT), LIMIT_S, asdict(HttpOptions()), "json", "warning")
        process = subprocess.Popen(
            COMMAND,
            env=process_environment() | {ENVIRONMENT: part.to_json()},
            pass_fds=[theirs.fileno()],
            cwd="/",
            stderr=subprocess.PIPE,
            text=True,
        )
    ours.settimeout(LIMIT_S)
    return process, ours


def test_it_ends_with_its_parent() -> None:
    process, link = start("tests.support.serve_app:app")
    with process, link:
        assert link.recv(100) == encode(Ready())
        link.close()
        _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == -signal.SIGTERM  # as uvicorn ends when it was told to
    assert "parent_gone" in errors


def test_reason_is_told_on_standard_error_where_no_parent_is_left() -> None:
    process, link = start("no_such_module:app")
    with process:
        link.close()
        _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 3
    assert "there is no module 'no_such_module'" in errors
