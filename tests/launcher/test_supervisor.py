"""The supervisor in this process with real workers and a real broker; tests/e2e has the clients."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from tests.support.cluster import ROOT
from tests.support.timing import wait_until
from zmqio.exceptions import ServeError
from zmqio.launcher.listener import BindAddress, listen_group
from zmqio.launcher.options import ServeOptions
from zmqio.launcher.supervisor import Supervisor

Logs = list[dict[str, object]]


def events(logs: Logs) -> list[object]:
    return [line["event"] for line in logs]


@pytest.mark.parametrize("acceptors", [1, 2])
async def test_signals_restart_the_workers_and_stop_everything(acceptors: int) -> None:
    before = set(psutil.Process().children())
    options = ServeOptions("tests.support.serve_app:app", workers=1, acceptors=acceptors, log_level="error")
    listeners = listen_group(BindAddress(host="127.0.0.1"), acceptors)
    with capture_logs() as logs:
        running = asyncio.ensure_future(Supervisor(options, listeners, str(ROOT)).run())
        await wait_until(lambda: "server_started" in events(logs) or running.done(), "the start")
        assert not running.done(), await running  # otherwise the signals would end this process
        os.kill(os.getpid(), signal.SIGHUP)
        await wait_until(
            lambda: "rolling_restart_completed" in events(logs) or running.done(), "the rolling restart"
        )
        assert not running.done(), await running
        os.kill(os.getpid(), signal.SIGTERM)
        await running
    assert events(logs).count("worker_started") == 2
    assert events(logs)[-1] == "server_stopped"
    assert set(psutil.Process().children()) <= before
    serving = next(line for line in logs if line["event"] == "server_started")
    assert serving["sticky"] == "sid"
    assert serving["workers"] == 1
    assert serving["metrics"] is None
    assert serving["acceptors"] == acceptors
    assert events(logs).count("acceptor_started") == (acceptors if acceptors > 1 else 0)
    assert not Path(str(serving["broker"]).removeprefix("ipc://")).parent.exists()


async def test_app_that_cannot_be_served_ends_the_server(tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    options = ServeOptions("no_such_module:app", workers=2, log_level="error")
    with pytest.raises(ServeError, match="no module named 'no_such_module'"):
        await Supervisor(options, listen_group(BindAddress(host="127.0.0.1"), 1), str(tmp_path)).run()
    assert set(psutil.Process().children()) <= before
